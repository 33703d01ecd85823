import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import { buildImageArchive } from '@k8ts/cri';
import { afterAll, beforeAll, expect } from 'vitest';

import type { Running } from '../../clients/kubectl/program.ts';
import type { TestCluster } from '../../support/cluster.ts';
import { BUSYBOX } from '../../support/images.ts';
import { podManifest, script } from '../../support/manifests.ts';

type Container = corev1.PodSpec['containers'][number];

/** What a pod prints: all of it, a pattern for all of it, or something to make of the pod once it has ended. */
export type Expected = string | RegExp | ((pod: corev1.Pod) => string | RegExp);

export interface Run {
  /** A shell script. Without one, `container` says what runs. */
  readonly shell?: string;
  readonly container?: Partial<Container>;
  readonly spec?: Partial<corev1.PodSpec>;
  readonly metadata?: Omit<NonNullable<corev1.Pod['metadata']>, 'name'>;
  readonly prints: Expected;
}

export interface PodRuns {
  /**
   * A test: the pod ends well and has printed what is expected. All pods of a file are created together before its first
   * test, so that one waits for them all and not for each.
   */
  prints(run: Run): () => Promise<void>;
  /** The same for a pod that the test itself waits for. */
  pod(
    spec: Omit<Partial<corev1.PodSpec>, 'containers'> & { containers: readonly Container[] },
    metadata?: Run['metadata'],
  ): string;
}

/** The pods of a file; `objects` are there before them. */
export function usePods(cluster: TestCluster, objects: readonly object[] = []): PodRuns {
  const manifests: object[] = [];
  const pod: PodRuns['pod'] = (spec, metadata = {}) => {
    const name = `pod-${manifests.length}`;
    manifests.push(podManifest(name, spec, metadata));
    return name;
  };
  beforeAll(async () => {
    for (const object of objects) {
      const { namespace = 'default' } = (object as { metadata: { namespace?: string } }).metadata;
      await cluster.kubectl.in(namespace).feed(object, 'apply', '-f', '-');
    }
    const pods = cluster.client.resource(corev1.pods, 'default');
    await Promise.all(manifests.map((manifest) => pods.create(manifest as corev1.Pod)));
  }, 120_000);
  return {
    pod,
    prints({ shell, container = {}, spec = {}, metadata, prints }) {
      const main: Container =
        shell === undefined ? { name: 'app', image: BUSYBOX, ...container } : script(shell, container);
      const name = pod({ restartPolicy: 'Never', containers: [main], ...spec }, metadata);
      return async () => {
        const ended = await cluster.untilPod(
          name,
          ({ status }) => status?.phase === 'Succeeded' || status?.phase === 'Failed',
          50_000,
        );
        const log = await cluster.kubectl.ok('logs', name);
        const expected = typeof prints === 'function' ? prints(ended) : prints;
        if (typeof expected === 'string') expect(log).toBe(expected);
        else expect(log).toMatch(expected);
        expect(ended.status?.phase, log).toBe('Succeeded');
      };
    },
  };
}

/** Plain HTTP to the API server, as the administrator, through `kubectl proxy`. */
export function useProxy(cluster: TestCluster): (path: string, init?: RequestInit) => Promise<Response> {
  let proxy: Running | undefined;
  let origin = '';
  beforeAll(async () => {
    proxy = cluster.kubectl.start('proxy', '--port=0');
    origin = `http://${(await proxy.until(/127\.0\.0\.1:\d+/))[0]}`;
  });
  afterAll(async () => proxy?.[Symbol.asyncDispose]());
  return (path, init) => fetch(`${origin}${path}`, { signal: AbortSignal.timeout(10_000), ...init });
}

/** The program of the image `guestbook:1`. */
export const NODE = '/usr/local/bin/node';

/** An image that says `entrypoint default arguments`. */
export const DEFAULTS = 'defaults:test';
export const DEFAULTS_ARCHIVE: string = join(tmpdir(), `k8ts-conformance-${process.pid}.tar`);

export function useDefaultsImage(): void {
  beforeAll(async () => {
    const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
    if (busybox === undefined) throw new Error('there is no busybox here: install busybox-static');
    await buildImageArchive({
      output: DEFAULTS_ARCHIVE,
      tags: [DEFAULTS],
      files: [{ source: busybox, path: '/bin/busybox', mode: 0o755 }],
      symlinks: { '/bin/echo': 'busybox' },
      entrypoint: ['/bin/echo', 'entrypoint'],
      cmd: ['default', 'arguments'],
    });
  });
  afterAll(() => rm(DEFAULTS_ARCHIVE, { force: true }));
}
