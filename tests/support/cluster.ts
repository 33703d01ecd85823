import { join } from 'node:path';

import type { corev1 } from '@k8ts/api';
import { afterAll, beforeAll, expect } from 'vitest';

import type { Kubectl } from '../clients/kubectl/program.ts';
import { BUSYBOX, buildBusybox } from './images.ts';
import { createInstallation, ROOT, type Installation, type UpProcess } from './installation.ts';
import { until } from './waiting.ts';

export const NODE_NAME = 'node-1';
export const GUESTBOOK_ARCHIVE: string = join(ROOT, 'examples/demo/work/guestbook.tar');

/** A running cluster of one real node; filled in before the first test. */
export interface TestCluster {
  readonly installation: Installation;
  readonly kubectl: Kubectl;
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
  let up: UpProcess;
  beforeAll(async () => {
    installation = await createInstallation();
    up = await installation.up('--node-name', NODE_NAME, ...(args?.(installation.directory) ?? []));
    const busybox = join(installation.directory, 'busybox.tar');
    await buildBusybox(busybox);
    await installation.ok('image', 'import', busybox, ...archives);
  });
  afterAll(async () => {
    try {
      const { code, stdout, stderr } = await up.stop();
      expect(code, `${stdout}\n${stderr}`).toBe(0);
      expect(installation.leftovers()).toEqual({});
    } finally {
      await installation[Symbol.asyncDispose]();
    }
  });
  return {
    get installation() {
      return installation;
    },
    get kubectl() {
      return installation.kubectl;
    },
    get up() {
      return up;
    },
  };
}

type PodSpec = corev1.PodSpec;
type Container = PodSpec['containers'][number];

/** A container that runs a shell script. */
export function script(text: string, more: Partial<Container> = {}): Container {
  return { name: 'app', image: BUSYBOX, command: ['sh', '-c', text], ...more };
}

/** Runs until it is stopped, and then ends at once. */
export const PAUSE = 'trap "exit 0" TERM INT; while :; do sleep 1 & wait $!; done';

export function podManifest(
  name: string,
  spec: PodSpec,
  metadata: Omit<NonNullable<corev1.Pod['metadata']>, 'name'> = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { terminationGracePeriodSeconds: 5, ...spec },
  };
}

export async function getPod(kubectl: Kubectl, name: string): Promise<corev1.Pod> {
  return JSON.parse(await kubectl.ok('get', 'pod', name, '-o', 'json')) as corev1.Pod;
}

/** Creates a pod and waits until it is ready. */
export async function startPod(kubectl: Kubectl, manifest: object): Promise<void> {
  await kubectl.feed(manifest, 'apply', '-f', '-');
  const { name } = (manifest as { metadata: { name: string } }).metadata;
  await kubectl.ok('wait', `pod/${name}`, '--for=condition=Ready', '--timeout=25s');
}

/** Creates a pod, waits until it has ended, and returns its log. */
export async function runPod(kubectl: Kubectl, manifest: object): Promise<string> {
  await kubectl.feed(manifest, 'apply', '-f', '-');
  const { name } = (manifest as { metadata: { name: string } }).metadata;
  await untilPhase(kubectl, name, 'Succeeded', 'Failed');
  return kubectl.ok('logs', name);
}

export async function untilPhase(
  kubectl: Kubectl,
  name: string,
  ...phases: readonly string[]
): Promise<corev1.Pod> {
  return untilPod(kubectl, name, ({ status }) => phases.includes(status?.phase ?? ''));
}

/** Resolves to the pod once it is as wanted; says how it was when it does not become so. */
export async function untilPod(
  kubectl: Kubectl,
  name: string,
  wanted: (pod: corev1.Pod) => boolean,
  limit = 30_000,
): Promise<corev1.Pod> {
  let pod: corev1.Pod | undefined;
  await until(async () => wanted((pod = await getPod(kubectl, name))), limit).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${JSON.stringify(pod?.status, undefined, 2)}`, { cause: error });
  });
  return pod as corev1.Pod;
}
