import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import {
  aggregateContainerResources,
  amountsOf,
  compareQuantities,
  formatQuantity,
  quantityOf,
  quantitySign,
  quantityToNumber,
  usePodLevelResources,
  type Amounts,
  type ParsedQuantity,
  type ResourceList,
} from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import { isResource, refuse } from '../refuse.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';

type Item = corev1.LimitRangeItem;

const ANNOTATION = 'kubernetes.io/limit-ranger';

/** Gives containers the requests and limits that LimitRanges say, and refuses what is outside of their bounds. */
export function limitRanger(objects: ObjectReader): AdmissionPlugin {
  const rangesFor = (attributes: AdmissionAttributes): readonly corev1.LimitRange[] => {
    const { operation, resource, subresource, oldObject, namespace } = attributes;
    // The containers of a pod change by its resize only.
    if (operation === 'UPDATE' && subresource === '' && isResource(resource, corev1.pods)) return [];
    if (oldObject?.metadata.deletionTimestamp !== undefined) return [];
    return objects.list(corev1.limitRanges, namespace);
  };
  return {
    name: 'LimitRanger',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) =>
      isResource(resource, corev1.pods)
        ? subresource === '' || subresource === 'resize'
        : subresource === '' && isResource(resource, corev1.persistentVolumeClaims),

    admit(attributes) {
      if (!isResource(attributes.resource, corev1.pods)) return;
      for (const range of rangesFor(attributes)) setDefaults(attributes.object as Draft<corev1.Pod>, range);
    },

    validate(attributes) {
      const { resource, object } = attributes;
      for (const { spec } of rangesFor(attributes)) {
        const violations = isResource(resource, corev1.pods)
          ? podViolations(object as Draft<corev1.Pod>, spec.limits)
          : claimViolations(object as Draft<corev1.PersistentVolumeClaim>, spec.limits);
        if (violations.length > 0) throw refuse(attributes, joined(violations));
      }
    },
  };
}

/** As Go prints a list of errors: each once. */
function joined(violations: readonly string[]): string {
  const [first = '', ...others] = new Set(violations);
  return others.length === 0 ? first : `[${[first, ...others].join(', ')}]`;
}

function setDefaults(pod: Draft<corev1.Pod>, { spec }: corev1.LimitRange): void {
  const defaults = spec.limits.filter(({ type }) => type === 'Container');
  const set: string[] = [];
  const complete = (container: Draft<corev1.Container>, what: string): void => {
    for (const [kind, list] of [
      ['requests', 'defaultRequest'],
      ['limits', 'default'],
    ] as const) {
      const names = addMissing(
        container,
        kind,
        defaults.map((item) => item[list]),
      );
      if (names.length > 0)
        set.push(`${names.join(', ')} ${kind.slice(0, -1)} for ${what} ${container.name}`);
    }
  };
  for (const container of pod.spec.containers) complete(container, 'container');
  for (const container of pod.spec.initContainers ?? []) complete(container, 'init container');
  if (set.length > 0)
    pod.metadata.annotations = {
      ...pod.metadata.annotations,
      [ANNOTATION]: `LimitRanger plugin set: ${set.join('; ')}`,
    };
}

/** Which names were missing, in order. */
function addMissing(
  container: Draft<corev1.Container>,
  kind: 'requests' | 'limits',
  lists: readonly (ResourceList | undefined)[],
): readonly string[] {
  const present = container.resources?.[kind] ?? {};
  const missing: Record<string, string> = {};
  // Of several items the last one counts.
  for (const list of lists)
    for (const [name, amount] of Object.entries(list ?? {}))
      if (!Object.hasOwn(present, name)) missing[name] = amount;
  const names = Object.keys(missing).sort();
  if (names.length > 0) container.resources = { ...container.resources, [kind]: { ...present, ...missing } };
  return names;
}

function podViolations(pod: Draft<corev1.Pod>, items: readonly Item[]): readonly string[] {
  const { spec } = pod as corev1.Pod;
  return items.flatMap((item) => {
    if (item.type === 'Container')
      return [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ resources }) =>
        violations(item, amountsOf(resources?.requests), amountsOf(resources?.limits)),
      );
    if (item.type !== 'Pod') return [];
    const [requests, limits] = (['requests', 'limits'] as const).map((kind) => {
      const total = aggregateContainerResources(spec, kind);
      usePodLevelResources(total, spec.resources?.[kind]);
      return total;
    }) as [Amounts, Amounts];
    return violations(item, requests, limits);
  });
}

/** Claims request storage and are not limited. */
function claimViolations(
  claim: Draft<corev1.PersistentVolumeClaim>,
  items: readonly Item[],
): readonly string[] {
  const requests = amountsOf(claim.spec?.resources?.requests);
  return items
    .filter(({ type }) => type === 'PersistentVolumeClaim')
    .flatMap(({ type, min, max }) => [
      ...each(min, (name, bound) => belowMinimum(type, name, bound, requests.get(name), undefined)),
      ...each(max, (name, bound) => aboveMaximumRequest(type, name, bound, requests.get(name))),
    ]);
}

function violations(item: Item, requests: Amounts, limits: Amounts): readonly string[] {
  const { type, min, max, maxLimitRequestRatio } = item;
  return [
    ...each(min, (name, bound) => belowMinimum(type, name, bound, requests.get(name), limits.get(name))),
    ...each(max, (name, bound) => aboveMaximum(type, name, bound, requests.get(name), limits.get(name))),
    ...each(maxLimitRequestRatio, (name, bound) =>
      aboveRatio(type, name, bound, requests.get(name), limits.get(name)),
    ),
  ];
}

function each(
  list: ResourceList | undefined,
  rule: (name: string, bound: string) => string | undefined,
): readonly string[] {
  return Object.entries(list ?? {})
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .flatMap(([name, bound]) => rule(name, bound) ?? []);
}

type Amount = ParsedQuantity | undefined;

function belowMinimum(type: string, name: string, bound: string, request: Amount, limit: Amount) {
  const rule = `minimum ${name} usage per ${type} is ${bound}`;
  const minimum = quantityOf(bound);
  if (request === undefined) return `${rule}.  No request is specified`;
  if (compareQuantities(request, minimum) < 0) return `${rule}, but request is ${formatQuantity(request)}`;
  return limit !== undefined && compareQuantities(limit, minimum) < 0
    ? `${rule}, but limit is ${formatQuantity(limit)}`
    : undefined;
}

function aboveMaximum(type: string, name: string, bound: string, request: Amount, limit: Amount) {
  const rule = `maximum ${name} usage per ${type} is ${bound}`;
  const maximum = quantityOf(bound);
  if (limit === undefined) return `${rule}.  No limit is specified`;
  if (compareQuantities(limit, maximum) > 0) return `${rule}, but limit is ${formatQuantity(limit)}`;
  return request !== undefined && compareQuantities(request, maximum) > 0
    ? `${rule}, but request is ${formatQuantity(request)}`
    : undefined;
}

function aboveMaximumRequest(type: string, name: string, bound: string, request: Amount) {
  const rule = `maximum ${name} usage per ${type} is ${bound}`;
  if (request === undefined) return `${rule}.  No request is specified`;
  return compareQuantities(request, quantityOf(bound)) > 0
    ? `${rule}, but request is ${formatQuantity(request)}`
    : undefined;
}

function aboveRatio(type: string, name: string, bound: string, request: Amount, limit: Amount) {
  const rule = `${name} max limit to request ratio per ${type} is ${bound}`;
  if (request === undefined || quantitySign(request) === 0)
    return `${rule}, but no request is specified or request is 0`;
  if (limit === undefined || quantitySign(limit) === 0)
    return `${rule}, but no limit is specified or limit is 0`;
  const ratio = quantityToNumber(limit) / quantityToNumber(request);
  return ratio > quantityToNumber(quantityOf(bound))
    ? `${rule}, but provided ratio is ${ratio.toFixed(6)}`
    : undefined;
}
