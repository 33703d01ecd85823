/** Metrics as the annotations of autoscaling/v1 spell them: flat, one field per number. */
import type { autoscalingv2, Draft } from '@k8ts/api';

type Metric = autoscalingv2.MetricSpec;
type MetricStatus = autoscalingv2.MetricStatus;
type Json = Record<string, unknown>;

/** Drops what is absent. */
function fields(object: Json): Json {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

const source = <T>(value: T | undefined, convert: (value: T) => Json): Json | undefined =>
  value === undefined ? undefined : fields(convert(value));

export function metricToV1(metric: Metric): Json {
  return fields({
    type: metric.type,
    object: source(metric.object, ({ describedObject, metric: of, target }) => ({
      target: describedObject,
      metricName: of.name,
      targetValue: target.value ?? '0',
      selector: of.selector,
      averageValue: target.averageValue,
    })),
    pods: source(metric.pods, ({ metric: of, target }) => ({
      metricName: of.name,
      targetAverageValue: target.averageValue ?? '0',
      selector: of.selector,
    })),
    resource: source(metric.resource, ({ name, target }) => ({
      name,
      targetAverageUtilization: target.averageUtilization,
      targetAverageValue: target.averageValue,
    })),
    containerResource: source(metric.containerResource, ({ name, container, target }) => ({
      name,
      targetAverageUtilization: target.averageUtilization,
      targetAverageValue: target.averageValue,
      container,
    })),
    external: source(metric.external, ({ metric: of, target }) => ({
      metricName: of.name,
      metricSelector: of.selector,
      targetValue: target.value,
      targetAverageValue: target.averageValue,
    })),
  });
}

export function metricStatusToV1(metric: MetricStatus): Json {
  return fields({
    type: metric.type,
    object: source(metric.object, ({ describedObject, metric: of, current }) => ({
      target: describedObject,
      metricName: of.name,
      currentValue: current.value ?? '0',
      selector: of.selector,
      averageValue: current.averageValue,
    })),
    pods: source(metric.pods, ({ metric: of, current }) => ({
      metricName: of.name,
      currentAverageValue: current.averageValue ?? '0',
      selector: of.selector,
    })),
    resource: source(metric.resource, ({ name, current }) => ({
      name,
      currentAverageUtilization: current.averageUtilization,
      currentAverageValue: current.averageValue ?? '0',
    })),
    containerResource: source(metric.containerResource, ({ name, container, current }) => ({
      name,
      currentAverageUtilization: current.averageUtilization,
      currentAverageValue: current.averageValue ?? '0',
      container,
    })),
    external: source(metric.external, ({ metric: of, current }) => ({
      metricName: of.name,
      metricSelector: of.selector,
      currentValue: current.value ?? '0',
      currentAverageValue: current.averageValue,
    })),
  });
}

interface V1Metric {
  readonly type: string;
  readonly object?: Json;
  readonly pods?: Json;
  readonly resource?: Json;
  readonly containerResource?: Json;
  readonly external?: Json;
}

const identifier = (name: unknown, selector: unknown): Json => fields({ name, selector });

function utilizationTarget(from: Json): Json {
  return fields({
    type: from['targetAverageUtilization'] === undefined ? 'AverageValue' : 'Utilization',
    averageValue: from['targetAverageValue'],
    averageUtilization: from['targetAverageUtilization'],
  });
}

export function metricFromV1(json: Json): Draft<Metric> {
  const metric = json as unknown as V1Metric;
  return fields({
    type: metric.type,
    object: source(metric.object, (from) => {
      const average = from['averageValue'];
      const value = from['targetValue'];
      return {
        target: fields({
          type: average === undefined ? 'Value' : 'AverageValue',
          value: average !== undefined && (value === '0' || value === 0) ? undefined : value,
          averageValue: average,
        }),
        describedObject: from['target'],
        metric: identifier(from['metricName'], from['selector']),
      };
    }),
    pods: source(metric.pods, (from) => ({
      target: { type: 'AverageValue', averageValue: from['targetAverageValue'] },
      metric: identifier(from['metricName'], from['selector']),
    })),
    resource: source(metric.resource, (from) => ({ name: from['name'], target: utilizationTarget(from) })),
    containerResource: source(metric.containerResource, (from) => ({
      name: from['name'],
      container: from['container'],
      target: utilizationTarget(from),
    })),
    external: source(metric.external, (from) => ({
      target: fields({
        type: from['targetValue'] === undefined ? 'AverageValue' : 'Value',
        value: from['targetValue'],
        averageValue: from['targetAverageValue'],
      }),
      metric: identifier(from['metricName'], from['metricSelector']),
    })),
  }) as unknown as Draft<Metric>;
}

function utilizationStatus(from: Json): Json {
  return fields({
    averageValue: from['currentAverageValue'],
    averageUtilization: from['currentAverageUtilization'],
  });
}

export function metricStatusFromV1(json: Json): Draft<MetricStatus> {
  const metric = json as unknown as V1Metric;
  return fields({
    type: metric.type,
    object: source(metric.object, (from) => ({
      current: fields({ value: from['currentValue'], averageValue: from['averageValue'] }),
      describedObject: from['target'],
      metric: identifier(from['metricName'], from['selector']),
    })),
    pods: source(metric.pods, (from) => ({
      current: fields({ averageValue: from['currentAverageValue'] }),
      metric: identifier(from['metricName'], from['selector']),
    })),
    resource: source(metric.resource, (from) => ({ name: from['name'], current: utilizationStatus(from) })),
    containerResource: source(metric.containerResource, (from) => ({
      name: from['name'],
      container: from['container'],
      current: utilizationStatus(from),
    })),
    external: source(metric.external, (from) => ({
      current: fields({ value: from['currentValue'], averageValue: from['currentAverageValue'] }),
      metric: identifier(from['metricName'], from['metricSelector']),
    })),
  }) as unknown as Draft<MetricStatus>;
}
