import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  corev1,
  type appsv1,
  type Draft,
  type KubeList,
  type KubeObject,
  type New,
  type ResourceType,
} from './index.ts';

/** Checked by tsc; vitest only runs what is left. */
describe('wire types', () => {
  test('an object as it is read', () => {
    const pod: corev1.Pod = {
      metadata: { name: 'web', namespace: 'default', labels: { app: 'web' } },
      spec: { containers: [{ name: 'main', ports: [{ containerPort: 80, protocol: 'TCP' }] }] },
    };
    expectTypeOf(pod.metadata.name).toEqualTypeOf<string>();
    expectTypeOf(pod.status?.phase).toEqualTypeOf<corev1.PodPhase | undefined>();
    expectTypeOf(pod.spec.containers[0]?.ports?.[0]?.containerPort).toEqualTypeOf<number | undefined>();
    expectTypeOf(pod).toExtend<KubeObject>();
    expect(pod.spec.containers).toHaveLength(1);
  });

  test('nothing of it can be changed, a draft can', () => {
    const draft: Draft<appsv1.Deployment> = {
      metadata: { name: 'web' },
      spec: { selector: {}, template: { spec: { containers: [] } } },
    };
    draft.spec.template.spec.containers.push({ name: 'main' });
    draft.metadata.labels = { app: 'web' };
    draft.metadata.labels['tier'] = 'front';
    expectTypeOf<
      Draft<{ readonly a: unknown; readonly b?: readonly (readonly string[])[] }>
    >().toEqualTypeOf<{
      a: unknown;
      b?: string[][];
    }>();
    const deployment: appsv1.Deployment = draft;
    // @ts-expect-error: readonly
    const change = (): number => (deployment.spec.replicas = 3);
    expect(change()).toBe(3);
  });

  test('a new object may leave its name to the server', () => {
    const pod: New<corev1.Pod> = { metadata: { generateName: 'web-' }, spec: { containers: [] } };
    // @ts-expect-error: as it is read, an object has a name
    const read: corev1.Pod = pod;
    expect(read.metadata.name).toBeUndefined();
  });

  test('enumerations: closed ones refuse, open ones suggest', () => {
    const protocol: corev1.Protocol = 'SCTP';
    // @ts-expect-error: no such protocol
    const other: corev1.Protocol = 'ICMP';
    const condition: corev1.NodeConditionType = 'example.com/Custom';
    expect([protocol, other, condition]).toHaveLength(3);
  });

  test('handles carry the type of their objects', () => {
    expectTypeOf(corev1.pods).toEqualTypeOf<ResourceType<corev1.Pod>>();
    const list = <T>(type: ResourceType<T>, items: readonly T[]): KubeList<T> => ({
      kind: `${type.kind}List`,
      metadata: {},
      items,
    });
    const pods = list(corev1.pods, []);
    expectTypeOf(pods.items).toEqualTypeOf<readonly corev1.Pod[]>();
    expectTypeOf<corev1.PodList>().toExtend<KubeList<corev1.Pod>>();
    expect(pods.kind).toBe('PodList');
  });
});
