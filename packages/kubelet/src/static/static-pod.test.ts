import { describe, expect, it } from 'vitest';

import { isMirrorOf, mirrorPod, staticPod } from './static-pod.ts';

const options = { nodeName: 'Node-1', path: '/m/etcd.yaml', seen: '2026-01-01T00:00:00Z' };
const manifest = (more: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'etcd' },
  spec: { containers: [{ name: 'etcd', image: 'etcd' }] },
  ...more,
});

describe('a static pod', () => {
  it('is named after its node, identified by its content, and filled in', () => {
    const pod = staticPod(manifest(), options);
    expect(pod).toMatchObject({
      metadata: {
        name: 'etcd-node-1',
        namespace: 'default',
        annotations: { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': pod.metadata.uid },
      },
      spec: {
        nodeName: 'Node-1',
        restartPolicy: 'Always',
        containers: [{ imagePullPolicy: 'Always', terminationMessagePath: '/dev/termination-log' }],
        tolerations: [{ operator: 'Exists', effect: 'NoExecute' }],
      },
    });
    expect(staticPod(manifest(), options).metadata.uid).toBe(pod.metadata.uid);
    const changed = staticPod(
      manifest({ spec: { containers: [{ name: 'etcd', image: 'etcd:2' }] } }),
      options,
    );
    expect(changed.metadata.uid).not.toBe(pod.metadata.uid);
    expect(changed.spec.containers[0]?.imagePullPolicy).toBe('IfNotPresent');
  });

  it('has a mirror that belongs to the node', () => {
    const pod = staticPod(manifest(), options);
    const mirror = mirrorPod(pod, { metadata: { name: 'node-1', uid: 'n' }, spec: {} });
    expect(mirror.metadata.uid).toBeUndefined();
    expect(mirror.metadata.ownerReferences).toEqual([
      { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'n', controller: true },
    ]);
    expect(isMirrorOf(mirror, pod)).toBe(true);
    expect(isMirrorOf(mirror, staticPod(manifest(), { ...options, path: '/other' }))).toBe(false);
  });

  for (const bad of [
    null,
    'text',
    [],
    {},
    manifest({ kind: 'Deployment' }),
    manifest({ metadata: {} }),
    manifest({ metadata: { name: '../x' } }),
    manifest({ metadata: { name: 'x', namespace: 'a/b' } }),
    manifest({ spec: {} }),
    manifest({ spec: { containers: [] } }),
    manifest({ spec: { containers: ['x'] } }),
    manifest({ spec: { containers: [{ name: '..' }] } }),
  ])
    it(`is not made of ${JSON.stringify(bad).slice(0, 60)}`, () => {
      expect(() => staticPod(bad, options)).toThrow();
    });
});
