import { join } from 'node:path';

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
  readonly kubeconfig: string;
  /** Which process runs the cluster, and how. */
  readonly state: string;
  /** A socket on which that process takes orders. */
  readonly control: string;
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
    kubeconfig: join(root, 'admin.kubeconfig'),
    state: join(root, 'state.json'),
    control: join(root, 'control.sock'),
  };
}
