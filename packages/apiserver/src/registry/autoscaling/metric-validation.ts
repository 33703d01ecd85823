import type { autoscalingv2 } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  isPathSegmentName,
  notSupported,
  quantityOf,
  quantitySign,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { dnsLabel, messages } from '../field-rules.ts';
import { validateContainerResourceName } from '../resource-names.ts';

type Metric = autoscalingv2.MetricSpec;

export interface ReferenceOptions {
  readonly allowEmptyGroup?: boolean;
  readonly allowInvalidVersion?: boolean;
}

export function validateReference(
  given: Partial<autoscalingv2.CrossVersionObjectReference> | undefined,
  path: string,
  options: ReferenceOptions,
): FieldError[] {
  const reference = given ?? {};
  const errors = (['kind', 'name'] as const).flatMap((field) => {
    const value = reference[field];
    return value
      ? messages(isPathSegmentName(value), value, `${path}.${field}`)
      : [required(`${path}.${field}`, '')];
  });
  const problem = apiVersionProblem(reference.apiVersion ?? '', options);
  if (problem !== undefined)
    errors.push(invalidValue(`${path}.apiVersion`, reference.apiVersion ?? '', problem));
  return errors;
}

export function apiVersionProblem(apiVersion: string, options: ReferenceOptions): string | undefined {
  if (options.allowInvalidVersion === true) return undefined;
  const slashes = apiVersion.split('/').length - 1;
  if (slashes > 1) return `unexpected GroupVersion string: ${apiVersion}`;
  return slashes === 0 && options.allowEmptyGroup !== true ? 'apiVersion must specify API group' : undefined;
}

const SOURCES = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
} as const;
const SOURCE_TYPES = Object.keys(SOURCES);
/** In the order in which upstream looks: only the first that is there is checked. */
const SOURCE_FIELDS = ['object', 'external', 'pods', 'resource', 'containerResource'] as const;

export function validateMetrics(
  metrics: readonly Metric[],
  minReplicas: number | undefined,
  options: ReferenceOptions,
): FieldError[] {
  const path = 'spec.metrics';
  const errors = metrics.flatMap((metric, i) => validateMetric(metric, `${path}[${i}]`, options));
  if (minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External'))
    errors.push(
      forbiddenField(
        path,
        'must specify at least one Object or External metric to support scaling to zero replicas',
      ),
    );
  return errors;
}

function validateMetric(metric: Metric, path: string, options: ReferenceOptions): FieldError[] {
  const type = (metric.type as string | undefined) ?? '';
  const errors: FieldError[] = [];
  const isKnown = SOURCE_TYPES.includes(type);
  if (type === '') errors.push(required(`${path}.type`, 'must specify a metric source type'));
  if (!isKnown) errors.push(notSupported(`${path}.type`, type, SOURCE_TYPES));
  const present = SOURCE_FIELDS.filter((field) => metric[field] !== undefined);
  errors.push(...validateSource(metric, present[0], path, options));
  const expected = isKnown ? SOURCES[type as keyof typeof SOURCES] : undefined;
  if (expected === undefined) errors.push(notSupported(`${path}.type`, type, SOURCE_TYPES));
  else if (metric[expected] === undefined)
    errors.push(required(`${path}.${expected}`, 'must populate information for the given metric source'));
  if (present.length !== 1)
    for (const field of present)
      if (field !== expected)
        errors.push(forbiddenField(`${path}.${field}`, 'must populate the given metric source only'));
  return errors;
}

function validateSource(
  metric: Metric,
  field: (typeof SOURCE_FIELDS)[number] | undefined,
  path: string,
  options: ReferenceOptions,
): FieldError[] {
  switch (field) {
    case 'object':
      return validateObject(metric.object as autoscalingv2.ObjectMetricSource, `${path}.object`, options);
    case 'external':
      return validateExternal(metric.external as autoscalingv2.ExternalMetricSource, `${path}.external`);
    case 'pods':
      return validatePods(metric.pods as autoscalingv2.PodsMetricSource, `${path}.pods`);
    case 'resource': {
      const source = metric.resource as autoscalingv2.ResourceMetricSource;
      const at = `${path}.resource`;
      return [
        ...(source.name ? [] : [required(`${at}.name`, 'must specify a resource name')]),
        ...validateResourceTarget(source.target, `${at}.target`),
      ];
    }
    case 'containerResource':
      return validateContainerResource(
        metric.containerResource as autoscalingv2.ContainerResourceMetricSource,
        `${path}.containerResource`,
      );
    default:
      return [];
  }
}

function validateObject(
  source: autoscalingv2.ObjectMetricSource,
  path: string,
  options: ReferenceOptions,
): FieldError[] {
  const errors = [
    ...validateReference(source.describedObject, `${path}.describedObject`, options),
    ...validateIdentifier(source.metric, `${path}.metric`),
    ...validateTarget(source.target, `${path}.target`),
  ];
  if (source.target?.value === undefined && source.target?.averageValue === undefined)
    errors.push(required(`${path}.target.averageValue`, 'must set either a target value or averageValue'));
  return errors;
}

function validateExternal(source: autoscalingv2.ExternalMetricSource, path: string): FieldError[] {
  const errors = [
    ...validateIdentifier(source.metric, `${path}.metric`),
    ...validateTarget(source.target, `${path}.target`),
  ];
  const { value, averageValue } = source.target ?? {};
  if (value === undefined && averageValue === undefined)
    errors.push(
      required(
        `${path}.target.averageValue`,
        'must set either a target value for metric or a per-pod target',
      ),
    );
  if (value !== undefined && averageValue !== undefined)
    errors.push(
      forbiddenField(
        `${path}.target.value`,
        'may not set both a target value for metric and a per-pod target',
      ),
    );
  return errors;
}

function validatePods(source: autoscalingv2.PodsMetricSource, path: string): FieldError[] {
  const errors = [
    ...validateIdentifier(source.metric, `${path}.metric`),
    ...validateTarget(source.target, `${path}.target`),
  ];
  if (source.target?.averageValue === undefined)
    errors.push(required(`${path}.target.averageValue`, 'must specify a positive target averageValue'));
  return errors;
}

function validateContainerResource(
  { name, container, target }: autoscalingv2.ContainerResourceMetricSource,
  path: string,
): FieldError[] {
  return [
    ...(name
      ? validateContainerResourceName(name, `${path}.name`)
      : [required(`${path}.name`, 'must specify a resource name')]),
    ...(container
      ? dnsLabel(container, `${path}.container`)
      : [required(`${path}.container`, 'must specify a container')]),
    ...validateResourceTarget(target, `${path}.target`),
  ];
}

function validateResourceTarget(target: autoscalingv2.MetricTarget | undefined, path: string): FieldError[] {
  const errors = validateTarget(target, path);
  const { averageUtilization, averageValue } = target ?? {};
  if (averageUtilization === undefined && averageValue === undefined)
    errors.push(
      required(`${path}.averageUtilization`, 'must set either a target raw value or a target utilization'),
    );
  if (averageUtilization !== undefined && averageValue !== undefined)
    errors.push(
      forbiddenField(`${path}.averageValue`, 'may not set both a target raw value and a target utilization'),
    );
  return errors;
}

const TARGET_TYPES = ['Utilization', 'Value', 'AverageValue'];

function validateTarget(target: autoscalingv2.MetricTarget | undefined, path: string): FieldError[] {
  const { value, averageValue, averageUtilization } = target ?? {};
  const type = (target?.type as string | undefined) ?? '';
  const errors: FieldError[] = [];
  if (type === '') errors.push(required(`${path}.type`, 'must specify a metric target type'));
  if (!TARGET_TYPES.includes(type))
    errors.push(invalidValue(`${path}.type`, type, 'must be either Utilization, Value, or AverageValue'));
  if (value !== undefined && quantitySign(quantityOf(value)) <= 0)
    errors.push(invalidValue(`${path}.value`, value, 'must be positive'));
  if (averageValue !== undefined && quantitySign(quantityOf(averageValue)) <= 0)
    errors.push(invalidValue(`${path}.averageValue`, averageValue, 'must be positive'));
  if (averageUtilization !== undefined && averageUtilization < 1)
    errors.push(invalidValue(`${path}.averageUtilization`, averageUtilization, 'must be greater than 0'));
  return errors;
}

function validateIdentifier(
  identifier: autoscalingv2.MetricIdentifier | undefined,
  path: string,
): FieldError[] {
  const name = identifier?.name ?? '';
  return name === ''
    ? [required(`${path}.name`, 'must specify a metric name')]
    : messages(isPathSegmentName(name), name, `${path}.name`);
}
