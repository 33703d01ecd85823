import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import type { Client } from '@k8ts/client';
import { afterAll, beforeAll, expect } from 'vitest';

import type { Kubectl } from '../clients/kubectl/program.ts';
import { buildBusybox } from './images.ts';
import { createInstallation, ROOT, type Installation, type UpProcess } from './installation.ts';
import { until } from './waiting.ts';

export const NODE_NAME = 'node-1';
export const GUESTBOOK_ARCHIVE: string = join(ROOT, 'examples/demo/work/guestbook.tar');

/** A running cluster of one real node; filled in before the first test. */
export interface TestCluster {
  readonly installation: Installation;
  readonly kubectl: Kubectl;
  readonly client: Client;
  /** Creates what a manifest says; a list is many. */
  apply(...manifests: readonly object[]): Promise<void>;
  pod(name: string): Promise<corev1.Pod>;
  /** Creates a pod and waits until it is ready. */
  startPod(manifest: object): Promise<corev1.Pod>;
  /** Creates a pod, waits until it has ended, and returns its log. */
  runPod(manifest: object): Promise<string>;
  untilPhase(name: string, ...phases: readonly string[]): Promise<corev1.Pod>;
  untilReady(name: string): Promise<corev1.Pod>;
  /** Resolves to the pod once it is as wanted; says how it was when it does not become so. */
  untilPod(name: string, wanted: (pod: corev1.Pod) => boolean, limit?: number): Promise<corev1.Pod>;
  /** Names of the events of a pod with their messages: `Killing: Stopping container app`. */
  events(pod: string): Promise<readonly string[]>;
  /** The process of `k8ts up`. */
  readonly up: UpProcess;
}

export interface TestClusterOptions {
  /** Further arguments of `k8ts up`; `directory` is the installation's. */
  readonly args?: (directory: string) => readonly string[];
  /** Image archives besides busybox. */
  readonly archives?: readonly string[];
}

/**
 * Starts a cluster for the tests of a file, with the image `busybox:test`, and stops it after them, with Ctrl-C. Nothing of
 * it may be left then.
 */
export function useCluster({ args, archives = [] }: TestClusterOptions = {}): TestCluster {
  let installation: Installation;
  let client: Client;
  let up: UpProcess;
  beforeAll(async () => {
    installation = await createInstallation();
    up = await installation.up('--node-name', NODE_NAME, ...(args?.(installation.directory) ?? []));
    client = await installation.client();
    const busybox = join(installation.directory, 'busybox.tar');
    await buildBusybox(busybox);
    await installation.ok('image', 'import', busybox, ...archives);
  });
  afterAll(async () => {
    // What a stop leaves behind may be in the way of the installation's end, whose error would hide it.
    await using _installation = installation;
    const { code, stdout, stderr } = await up.stop();
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(installation.leftovers()).toEqual({});
  });
  const getPod = (name: string): Promise<corev1.Pod> => client.resource(corev1.pods, 'default').get(name);
  const apply = async (...items: readonly object[]): Promise<void> => {
    await installation.kubectl.feed({ apiVersion: 'v1', kind: 'List', items }, 'apply', '-f', '-');
  };
  const untilPod: TestCluster['untilPod'] = async (name, wanted, limit = 30_000) => {
    let pod: corev1.Pod | undefined;
    await until(async () => wanted((pod = await getPod(name))), limit).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${JSON.stringify(pod?.status, undefined, 2)}`, { cause: error });
    });
    return pod as corev1.Pod;
  };
  const untilPhase: TestCluster['untilPhase'] = (name, ...phases) =>
    untilPod(name, ({ status }) => phases.includes(status?.phase ?? ''));
  const untilReady: TestCluster['untilReady'] = (name) =>
    untilPod(
      name,
      ({ status }) =>
        status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ??
        false,
    );
  return {
    get installation() {
      return installation;
    },
    get kubectl() {
      return installation.kubectl;
    },
    get client() {
      return client;
    },
    get up() {
      return up;
    },
    apply,
    pod: getPod,
    async startPod(manifest) {
      await apply(manifest);
      return untilReady(nameOf(manifest));
    },
    async runPod(manifest) {
      await apply(manifest);
      await untilPhase(nameOf(manifest), 'Succeeded', 'Failed');
      return installation.kubectl.ok('logs', nameOf(manifest));
    },
    untilPhase,
    untilReady,
    untilPod,
    async events(pod) {
      const { items } = await client
        .resource(corev1.events, 'default')
        .list({ fieldSelector: `involvedObject.name=${pod}` });
      return items.map(({ reason, message }) => `${reason ?? ''}: ${message ?? ''}`);
    },
  };
}

function nameOf(manifest: object): string {
  return (manifest as { metadata: { name: string } }).metadata.name;
}
