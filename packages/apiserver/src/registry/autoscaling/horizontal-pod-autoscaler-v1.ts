/**
 * autoscaling/v1 knows only the CPU utilization; everything else travels in annotations
 * (pkg/apis/autoscaling/v1/conversion.go).
 */
import type { autoscalingv1, autoscalingv2, Draft } from '@k8ts/api';
import type { Conversion } from '../contract.ts';
import { metricFromV1, metricStatusFromV1, metricStatusToV1, metricToV1 } from './metrics-v1.ts';

type V1 = autoscalingv1.HorizontalPodAutoscaler;
type V2 = autoscalingv2.HorizontalPodAutoscaler;
type Metric = autoscalingv2.MetricSpec;
type Json = Record<string, unknown>;

const PREFIX = 'autoscaling.alpha.kubernetes.io/';
const METRICS = `${PREFIX}metrics`;
const CURRENT_METRICS = `${PREFIX}current-metrics`;
const CONDITIONS = `${PREFIX}conditions`;
const BEHAVIOR = `${PREFIX}behavior`;
const ROUND_TRIP: readonly string[] = [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR];

function isCpuUtilization({ type, resource }: Metric): boolean {
  return type === 'Resource' && resource?.name === 'cpu' && resource.target?.averageUtilization !== undefined;
}

function cpuMetric(averageUtilization: number): Draft<Metric> {
  return { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } } };
}

function withoutRoundTrip(annotations: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => !ROUND_TRIP.includes(name)));
}

function fromStorage({ spec, status, ...rest }: V2): V1 {
  const metrics = spec?.metrics ?? [];
  const others = metrics.filter((metric) => !isCpuUtilization(metric));
  const cpu = metrics.find(isCpuUtilization)?.resource?.target.averageUtilization;
  const {
    metrics: _metrics,
    behavior,
    ...plainSpec
  } = spec ?? ({} as autoscalingv2.HorizontalPodAutoscalerSpec);
  const { currentMetrics = [], conditions = [], ...plainStatus } = status ?? {};
  const currentCpu = currentMetrics.findLast(
    ({ type, resource }) =>
      type === 'Resource' && resource?.name === 'cpu' && resource.current?.averageUtilization !== undefined,
  )?.resource?.current.averageUtilization;

  const annotations = withoutRoundTrip(rest.metadata.annotations);
  if (others.length > 0) annotations[METRICS] = JSON.stringify(others.map(metricToV1));
  if (currentMetrics.length > 0)
    annotations[CURRENT_METRICS] = JSON.stringify(currentMetrics.map(metricStatusToV1));
  if (behavior !== undefined) annotations[BEHAVIOR] = JSON.stringify(goBehavior(behavior));
  if (conditions.length > 0) annotations[CONDITIONS] = JSON.stringify(conditions);
  const { annotations: _annotations, ...metadata } = rest.metadata;
  return {
    ...rest,
    apiVersion: 'autoscaling/v1',
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: { ...plainSpec, ...(cpu === undefined ? {} : { targetCPUUtilizationPercentage: cpu }) },
    ...(status === undefined
      ? {}
      : {
          status: {
            ...plainStatus,
            ...(currentCpu === undefined ? {} : { currentCPUUtilizationPercentage: currentCpu }),
          },
        }),
  } as V1;
}

function toStorage({ spec, status, ...rest }: Draft<V1>): Draft<V2> {
  const { annotations = {}, ...metadata } = rest.metadata;
  const { targetCPUUtilizationPercentage: cpu, ...plainSpec } =
    spec ?? ({} as Draft<autoscalingv1.HorizontalPodAutoscalerSpec>);
  const { currentCPUUtilizationPercentage: currentCpu, ...plainStatus } =
    status ?? ({} as Draft<autoscalingv1.HorizontalPodAutoscalerStatus>);
  const metrics = [
    ...(read<Json[]>(annotations[METRICS]) ?? []).map(metricFromV1),
    ...(cpu === undefined ? [] : [cpuMetric(cpu)]),
  ];
  const behavior = behaviorFromGo(read<Json>(annotations[BEHAVIOR]));
  const currentMetrics =
    read<Json[]>(annotations[CURRENT_METRICS])?.map(metricStatusFromV1) ??
    (currentCpu === undefined
      ? undefined
      : [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: currentCpu } } }]);
  const conditions = read<Json[]>(annotations[CONDITIONS]);
  const kept = withoutRoundTrip(annotations);
  const nextStatus = {
    ...plainStatus,
    ...(currentMetrics === undefined ? {} : { currentMetrics }),
    ...(conditions === undefined ? {} : { conditions }),
  };
  return {
    ...rest,
    apiVersion: 'autoscaling/v2',
    metadata: { ...metadata, ...(Object.keys(kept).length > 0 ? { annotations: kept } : {}) },
    spec: {
      ...plainSpec,
      // Without any, the defaults say CPU.
      ...(metrics.length === 0 ? {} : { metrics }),
      ...(behavior === undefined ? {} : { behavior }),
    },
    ...(Object.keys(nextStatus).length === 0 ? {} : { status: nextStatus }),
  } as unknown as Draft<V2>;
}

/** What somebody else wrote there and that is no JSON counts as absent. */
function read<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as T | null;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The behavior is written as upstream's internal type, whose fields have Go's names. */
function goBehavior({ scaleUp, scaleDown }: autoscalingv2.HorizontalPodAutoscalerBehavior): unknown {
  return { ScaleUp: goRules(scaleUp), ScaleDown: goRules(scaleDown) };
}

function goRules(rules: autoscalingv2.HPAScalingRules | undefined): unknown {
  if (rules === undefined) return null;
  return {
    StabilizationWindowSeconds: rules.stabilizationWindowSeconds ?? null,
    SelectPolicy: rules.selectPolicy ?? null,
    Policies:
      rules.policies?.map(({ type, value, periodSeconds }) => ({
        Type: type,
        Value: value,
        PeriodSeconds: periodSeconds,
      })) ?? null,
    Tolerance: rules.tolerance ?? null,
  };
}

/** Go reads names whatever their case. */
function behaviorFromGo(value: Json | undefined): unknown {
  if (value === undefined) return undefined;
  const behavior = lowerFirst(value) as Json;
  return Object.keys(behavior).length === 0 ? undefined : behavior;
}

function lowerFirst(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lowerFirst);
  if (typeof value !== 'object' || value === null) return value;
  const result: Json = {};
  for (const [name, field] of Object.entries(value))
    if (field !== null) result[name.charAt(0).toLowerCase() + name.slice(1)] = lowerFirst(field);
  return result;
}

export const horizontalPodAutoscalerV1: Conversion<V2> = {
  toStorage: (object) => toStorage(object as Draft<V1>),
  fromStorage: (object) => fromStorage(object),
};
