import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import { Cluster } from '@k8ts/cluster';
import { afterAll, beforeAll } from 'vitest';

import { until } from '../../support/waiting.ts';
import { createKubectl, type Kubectl } from './program.ts';
import type { KubectlVersion } from './versions.ts';

/** A cluster with two simulated nodes and one kubectl; filled in before the first test. */
export interface Session {
  readonly minor: number;
  readonly cluster: Cluster;
  readonly directory: string;
  readonly kubeconfig: string;
  /** In the namespace `default`. */
  readonly kubectl: Kubectl;
  /** kubectl in a new namespace that pods can be created in. */
  freshNamespace(name: string): Promise<Kubectl>;
}

export function useSession({ minor, path }: KubectlVersion): Session {
  let cluster: Cluster;
  let directory: string;
  let kubectl: Kubectl;
  const kubeconfig = (): string => join(directory, 'kubeconfig');

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'k8ts-kubectl-'));
    cluster = await Cluster.start({ nodes: 2 });
    await writeFile(kubeconfig(), cluster.kubeconfig, { mode: 0o600 });
    kubectl = createKubectl({ path, kubeconfig: kubeconfig(), home: directory, namespace: 'default' });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  return {
    minor,
    get cluster() {
      return cluster;
    },
    get directory() {
      return directory;
    },
    get kubeconfig() {
      return kubeconfig();
    },
    get kubectl() {
      return kubectl;
    },
    async freshNamespace(name) {
      await kubectl.ok('create', 'namespace', name);
      await until(async () => {
        const { items } = await cluster.client.resource(corev1.serviceAccounts, name).list();
        return items.length > 0;
      });
      return kubectl.in(name);
    },
  };
}
