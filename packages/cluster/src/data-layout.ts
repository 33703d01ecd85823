import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';

/** What a cluster keeps below its data directory. */
export interface DataLayout {
  readonly root: string;
  readonly pki: string;
  readonly store: string;
  /** Images, and what outlives a reboot of the containers. */
  readonly containers: string;
  /** Namespaces, mounts and sockets of the containers: gone after a reboot. */
  readonly run: string;
  readonly kubelet: string;
  readonly network: string;
  /** Directories of provisioned persistent volumes. */
  readonly volumes: string;
  readonly kubeconfig: string;
  /** Which process runs the cluster, and how. */
  readonly state: string;
  /** Which kubeconfig of the user the cluster was added to; outlives the process. */
  readonly addedTo: string;
  /** A socket on which that process takes orders. */
  readonly control: string;
  /**
   * Below which the pods' control groups are, `k8ts-<8 hexadecimal digits>/kubepods`: one for each data directory, since a
   * kubelet takes every pod below its root that it does not know for an orphan, and the machine may run another one.
   */
  readonly cgroupRoot: string;
}

export function dataLayout(root: string): DataLayout {
  return {
    root,
    pki: join(root, 'pki'),
    store: join(root, 'store'),
    containers: join(root, 'containers'),
    run: join(root, 'run'),
    kubelet: join(root, 'kubelet'),
    network: join(root, 'network'),
    volumes: join(root, 'volumes'),
    kubeconfig: join(root, 'admin.kubeconfig'),
    state: join(root, 'state.json'),
    addedTo: join(root, 'added-to'),
    control: join(root, 'control.sock'),
    cgroupRoot: `k8ts-${createHash('sha256').update(resolve(root)).digest('hex').slice(0, 8)}/kubepods`,
  };
}
