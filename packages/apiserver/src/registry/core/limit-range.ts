import { randomUUID } from 'node:crypto';
import { corev1 } from '@k8ts/api';
import {
  compareQuantities,
  duplicate,
  forbiddenField,
  invalidValue,
  isQualifiedName,
  parseQuantity,
  quantityOf,
  quantityToNumber,
  required,
  type FieldError,
  type ResourceList,
} from '@k8ts/apimachinery';
import type { Strategy } from '../contract.ts';
import { each, messages } from '../field-rules.ts';
import { compareAmounts, roundUpToMilli } from '../quantities.ts';
import {
  isOvercommitAllowed,
  validateContainerResourceName,
  validateResourceName,
} from '../resource-names.ts';

type LimitRange = corev1.LimitRange;
type Item = corev1.LimitRangeItem;

const TYPES = ['Pod', 'Container', 'PersistentVolumeClaim'];
const LISTS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;
const ONE = parseQuantity('1');

function validateType(type: string, path: string): FieldError[] {
  const errors = messages(isQualifiedName(type), type, path);
  if (errors.length > 0) return errors;
  return !type.includes('/') && !TYPES.includes(type)
    ? [invalidValue(path, type, 'must be a standard limit type or fully qualified')]
    : [];
}

function validateItem(item: Item, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const nameRule =
    item.type === 'Pod' || item.type === 'Container' ? validateContainerResourceName : validateResourceName;
  const names = new Set<string>();
  const lists: Partial<Record<(typeof LISTS)[number], ResourceList>> = {};
  for (const list of LISTS) {
    const amounts = item[list] ?? {};
    if (list.startsWith('default') && item.type === 'Pod') {
      if (Object.keys(amounts).length > 0)
        errors.push(forbiddenField(`${path}.${list}`, "may not be specified when `type` is 'Pod'"));
      continue;
    }
    if (
      list === 'maxLimitRequestRatio' &&
      item.type === 'PersistentVolumeClaim' &&
      item.min?.['storage'] === undefined &&
      item.max?.['storage'] === undefined
    )
      errors.push(
        required(
          `${path}.limits`,
          'either minimum or maximum storage value is required, but neither was provided',
        ),
      );
    lists[list] = amounts;
    for (const name in amounts) {
      errors.push(...nameRule(name, `${path}.${list}[${name}]`));
      names.add(name);
    }
  }
  for (const name of names) errors.push(...validateAmounts(name, lists, path));
  return errors;
}

function validateAmounts(
  name: string,
  lists: Partial<Record<(typeof LISTS)[number], ResourceList>>,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const min = lists.min?.[name];
  const max = lists.max?.[name];
  const limit = lists.default?.[name];
  const request = lists.defaultRequest?.[name];
  const ratio = lists.maxLimitRequestRatio?.[name];
  const wrong = (list: string, value: string, detail: string): void => {
    errors.push(invalidValue(`${path}.${list}[${name}]`, value, detail));
  };
  const exceeds = (left: string | undefined, right: string | undefined): boolean =>
    left !== undefined && right !== undefined && compareAmounts(left, right) > 0;
  if (exceeds(min, max)) wrong('min', min as string, `min value ${min} is greater than max value ${max}`);
  if (exceeds(min, request))
    wrong(
      'defaultRequest',
      request as string,
      `min value ${min} is greater than default request value ${request}`,
    );
  if (exceeds(request, max))
    wrong(
      'defaultRequest',
      request as string,
      `default request value ${request} is greater than max value ${max}`,
    );
  if (exceeds(request, limit))
    wrong(
      'defaultRequest',
      request as string,
      `default request value ${request} is greater than default limit value ${limit}`,
    );
  if (exceeds(min, limit))
    wrong('default', min as string, `min value ${min} is greater than default value ${limit}`);
  if (exceeds(limit, max))
    wrong('default', max as string, `default value ${limit} is greater than max value ${max}`);
  if (ratio !== undefined) {
    if (compareQuantities(quantityOf(ratio), ONE) < 0)
      wrong('maxLimitRequestRatio', ratio, `ratio ${ratio} is less than 1`);
    if (min !== undefined && max !== undefined) {
      const most = quantityToNumber(quantityOf(max)) / quantityToNumber(quantityOf(min));
      if (quantityToNumber(quantityOf(ratio)) > most)
        wrong('maxLimitRequestRatio', ratio, `ratio ${ratio} is greater than max/min = ${goFixed(most)}`);
    }
  }
  if (
    !isOvercommitAllowed(name) &&
    limit !== undefined &&
    request !== undefined &&
    compareAmounts(limit, request) !== 0
  )
    wrong(
      'defaultRequest',
      request,
      `default value ${limit} must equal to defaultRequest value ${request} in ${name}`,
    );
  return errors;
}

/** Go's %f. */
function goFixed(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? value.toFixed(6) : '+Inf';
}

export const limitRangeStrategy: Strategy<LimitRange> = {
  type: corev1.limitRanges,
  allowCreateOnUpdate: true,
  setDefaults(limitRange) {
    for (const item of limitRange.spec?.limits ?? []) {
      for (const list of LISTS) roundUpToMilli(item[list]);
      if (item.type !== 'Container') continue;
      item.default ??= {};
      item.defaultRequest ??= {};
      for (const [target, source] of [
        [item.default, item.max],
        [item.defaultRequest, item.default],
        [item.defaultRequest, item.min],
      ] as const)
        for (const name in source ?? {})
          if (!Object.hasOwn(target, name)) target[name] = (source as Record<string, string>)[name] as string;
    }
  },
  prepareForCreate({ metadata }) {
    if ((metadata.name ?? '') === '') metadata.name = randomUUID();
  },
  validate({ spec }) {
    const types = new Set<string>();
    return each(spec?.limits, 'spec.limits', (item, at) => {
      const errors = validateType(item.type ?? '', `${at}.type`);
      if (types.has(item.type)) errors.push(duplicate(`${at}.type`, item.type));
      types.add(item.type);
      return [...errors, ...validateItem(item, at)];
    });
  },
  validateUpdate: (limitRange, _old, context) => limitRangeStrategy.validate?.(limitRange, context) ?? [],
};
