import type { autoscalingv1, Draft, KubeObject } from '@k8ts/api';
import { expect, test } from 'vitest';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import { horizontalPodAutoscalerV1 } from './horizontal-pod-autoscaler-v1.ts';
import { horizontalPodAutoscalerStrategy } from './horizontal-pod-autoscaler.ts';

const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' };
const autoscaler = (spec: Json = {}): Json => ({
  metadata: { name: 'h', namespace: 'default' },
  spec: { scaleTargetRef, maxReplicas: 5, ...spec },
});

test('defaults', async () => {
  const { object, errors } = await create(
    horizontalPodAutoscalerStrategy,
    autoscaler({ behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } }),
  );
  expect(errors).toEqual([]);
  expect(object.spec).toMatchObject({
    minReplicas: 1,
    metrics: [
      {
        type: 'Resource',
        resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
      },
    ],
    behavior: {
      scaleUp: {
        stabilizationWindowSeconds: 0,
        selectPolicy: 'Max',
        policies: [
          { type: 'Pods', value: 4, periodSeconds: 15 },
          { type: 'Percent', value: 100, periodSeconds: 15 },
        ],
      },
      scaleDown: {
        stabilizationWindowSeconds: 60,
        selectPolicy: 'Max',
        policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
      },
    },
  });
});

test.each<[string, Json, readonly string[]]>([
  [
    'no maximum',
    autoscaler({ maxReplicas: 0 }),
    [
      'spec.maxReplicas: Required value: must be set and greater than 0',
      'spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`',
    ],
  ],
  [
    'a minimum of none',
    autoscaler({ minReplicas: 0 }),
    [
      'spec.minReplicas: Invalid value: 0: must be greater than or equal to 1',
      'spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas',
    ],
  ],
  [
    'a target without group',
    autoscaler({ scaleTargetRef: { ...scaleTargetRef, apiVersion: 'v1' } }),
    ['spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group'],
  ],
  [
    'a metric of no source',
    autoscaler({ metrics: [{ type: 'Resource' }] }),
    ['spec.metrics[0].resource: Required value: must populate information for the given metric source'],
  ],
  [
    'a metric without aim',
    autoscaler({
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization' } } }],
    }),
    [
      'spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization',
    ],
  ],
  [
    'a policy of no value',
    autoscaler({ behavior: { scaleUp: { policies: [{ type: 'Pods', value: 0, periodSeconds: 2000 }] } } }),
    [
      'spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero',
      'spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800',
    ],
  ],
])('are refused with %s', async (_, object, expected) => {
  expect((await create(horizontalPodAutoscalerStrategy, object)).errors).toEqual(expected);
});

test('an old target without group stays', async () => {
  const { object } = await create(
    horizontalPodAutoscalerStrategy,
    autoscaler({ scaleTargetRef: { ...scaleTargetRef, apiVersion: 'v1' } }),
  );
  const { errors } = await update(horizontalPodAutoscalerStrategy, object, (next) => {
    (next.spec as { maxReplicas: number }).maxReplicas = 6;
  });
  expect(errors).toEqual([]);
});

test('v1 keeps in annotations what it cannot say', async () => {
  const { object } = await create(
    horizontalPodAutoscalerStrategy,
    autoscaler({
      metrics: [
        {
          type: 'Resource',
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
        },
        {
          type: 'Pods',
          pods: { metric: { name: 'qps' }, target: { type: 'AverageValue', averageValue: '10' } },
        },
        {
          type: 'Object',
          object: {
            describedObject: { kind: 'Service', name: 's', apiVersion: 'v1' },
            metric: { name: 'hits' },
            target: { type: 'Value', value: '3' },
          },
        },
      ],
      behavior: { scaleDown: { selectPolicy: 'Disabled' } },
    }),
  );
  const v1 = horizontalPodAutoscalerV1.fromStorage(object) as autoscalingv1.HorizontalPodAutoscaler;
  expect(v1.spec).toEqual({
    scaleTargetRef,
    minReplicas: 1,
    maxReplicas: 5,
    targetCPUUtilizationPercentage: 50,
  });
  const annotations = v1.metadata.annotations ?? {};
  expect(JSON.parse(annotations['autoscaling.alpha.kubernetes.io/metrics'] as string)).toEqual([
    { type: 'Pods', pods: { metricName: 'qps', targetAverageValue: '10' } },
    {
      type: 'Object',
      object: {
        target: { kind: 'Service', name: 's', apiVersion: 'v1' },
        metricName: 'hits',
        targetValue: '3',
      },
    },
  ]);
  expect(JSON.parse(annotations['autoscaling.alpha.kubernetes.io/behavior'] as string)).toMatchObject({
    ScaleDown: { SelectPolicy: 'Disabled' },
    ScaleUp: { StabilizationWindowSeconds: 0 },
  });

  const back = horizontalPodAutoscalerV1.toStorage(structuredClone(v1) as unknown as Draft<KubeObject>);
  expect(back.metadata.annotations).toBeUndefined();
  expect(back.spec?.behavior).toEqual(object.spec?.behavior);
  expect([...(back.spec?.metrics ?? [])].sort((a, b) => (a.type < b.type ? -1 : 1))).toEqual(
    [...(object.spec?.metrics ?? [])].sort((a, b) => (a.type < b.type ? -1 : 1)),
  );
});
