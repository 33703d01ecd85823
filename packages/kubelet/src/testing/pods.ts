import type { Container, Pod, PodSpec } from '../pod/types.ts';

/** A pod for tests, bound to `node-1`. */
export function testPod(spec: Partial<PodSpec> = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  const name = metadata.name ?? 'web';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, generation: 1, ...metadata },
    spec: {
      nodeName: 'node-1',
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      containers: [testContainer('app')],
      ...spec,
    },
  };
}

export function testContainer(name: string, more: Partial<Container> = {}): Container {
  return { name, image: `registry.example/${name}:1`, imagePullPolicy: 'IfNotPresent', ...more };
}
