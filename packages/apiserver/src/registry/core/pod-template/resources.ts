/** Requests and limits of containers and pods. */
import type { corev1 } from '@k8ts/api';
import {
  aggregateContainerResources,
  compareQuantities,
  duplicate,
  forbiddenField,
  formatQuantity,
  invalidValue,
  isHugePages,
  notFoundField,
  notSupported,
  parseQuantity,
  quantityOf,
  quantitySign,
  quantityValue,
  required,
  scaledQuantity,
  type FieldError,
} from '@k8ts/apimachinery';
import { dnsLabel, each } from '../../field-rules.ts';
import { compareAmounts } from '../../quantities.ts';
import {
  isOvercommitAllowed,
  validateContainerResourceName,
  validateResourceName,
  validateResourceQuantity,
} from '../../resource-names.ts';

type NameRule = (name: string, path: string) => FieldError[];

export function validateContainerResources(
  resources: corev1.ResourceRequirements | undefined,
  claimNames: ReadonlySet<string>,
  path: string,
): FieldError[] {
  return validateRequirements(resources, validateContainerResourceName, claimNames, path);
}

function validateRequirements(
  resources: corev1.ResourceRequirements | undefined,
  nameRule: NameRule,
  claimNames: ReadonlySet<string>,
  path: string,
): FieldError[] {
  if (resources === undefined) return [];
  const { limits = {}, requests = {}, claims } = resources;
  const errors: FieldError[] = [];
  let hasCompute = false;
  let hasHugePages = false;
  const validateAmount = (name: string, amount: string, at: string): void => {
    errors.push(...nameRule(name, at), ...validateResourceQuantity(name, amount, at));
  };
  const validatePages = (name: string, amount: string, at: string): void => {
    if (name === 'cpu' || name === 'memory') hasCompute = true;
    if (!isHugePages(name)) return;
    hasHugePages = true;
    if (!isMultipleOfPage(name, amount))
      errors.push(invalidValue(at, amount, `${amount} is not positive integer multiple of ${name}`));
  };
  for (const name in limits) {
    const amount = limits[name] as string;
    validateAmount(name, amount, `${path}.limits[${name}]`);
    validatePages(name, amount, `${path}.limits[${name}]`);
  }
  for (const name in requests) {
    const amount = requests[name] as string;
    validateAmount(name, amount, `${path}.requests[${name}]`);
    const limit = limits[name];
    if (limit !== undefined) {
      const compared = compareAmounts(amount, limit);
      if (compared !== 0 && !isOvercommitAllowed(name))
        errors.push(invalidValue(`${path}.requests`, amount, `must be equal to ${name} limit of ${limit}`));
      else if (compared > 0)
        errors.push(
          invalidValue(`${path}.requests`, amount, `must be less than or equal to ${name} limit of ${limit}`),
        );
    } else if (!isOvercommitAllowed(name)) {
      errors.push(required(`${path}.limits`, 'Limit must be set for non overcommitable resources'));
    }
    validatePages(name, amount, `${path}.requests[${name}]`);
  }
  if (!hasCompute && hasHugePages) errors.push(forbiddenField(path, 'HugePages require cpu or memory'));
  return claims === undefined ? errors : [...errors, ...validateClaims(claims, claimNames, `${path}.claims`)];
}

function isMultipleOfPage(name: string, amount: string): boolean {
  try {
    const page = parseQuantity(name.slice('hugepages-'.length));
    if (quantitySign(page) <= 0 || scaledQuantity(page, -3) % 1000n !== 0n) return false;
    return BigInt(quantityValue(quantityOf(amount))) % BigInt(quantityValue(page)) === 0n;
  } catch {
    return false;
  }
}

function validateClaims(
  claims: readonly corev1.ResourceClaim[],
  podClaims: ReadonlySet<string>,
  path: string,
): FieldError[] {
  const names = new Set<string>();
  return each(claims, path, ({ name = '', request = '' }, at) => {
    if (name === '') return [required(at, '')];
    const errors: FieldError[] = [];
    if (names.has(name)) {
      errors.push(duplicate(at, name));
    } else {
      if (request !== '') errors.push(...dnsLabel(request, `${at}.request`));
      const id = request === '' ? name : `${name}/${request}`;
      if (names.has(id)) errors.push(duplicate(at, id));
      else if (request === '')
        for (const known of names) if (known.startsWith(`${name}/`)) errors.push(duplicate(at, name));
      names.add(id);
    }
    if (!podClaims.has(name)) {
      const error = notFoundField(at, name);
      const list = podClaims.size === 0 ? ' which is empty' : `: ${[...podClaims].sort().join(', ')}`;
      errors.push({
        ...error,
        body: `${error.body}: must be one of the names in pod.spec.resourceClaims${list}`,
      });
    }
    return errors;
  });
}

const validatePodResourceName: NameRule = (name, path) => {
  const errors = validateResourceName(name, path);
  if (errors.length > 0 || name === 'cpu' || name === 'memory' || isHugePages(name)) return errors;
  return [notSupported(path, name, ['cpu', 'hugepages-', 'memory'])];
};

/** KEP-2837: the pod's own requests and limits must hold those of its containers. */
export function validatePodResources(
  spec: corev1.PodSpec,
  claimNames: ReadonlySet<string>,
  path: string,
): FieldError[] {
  const { resources } = spec;
  if (resources === undefined) return [];
  const at = `${path}.resources`;
  if (spec.os?.name === 'windows') return [forbiddenField(at, 'may not be set for a windows pod')];
  const errors =
    resources.claims === undefined
      ? []
      : [forbiddenField(`${at}.claims`, 'claims may not be set for Resources at pod-level')];
  errors.push(...validateRequirements(resources, validatePodResourceName, claimNames, at));
  for (const [name, amount] of aggregateContainerResources(spec, 'requests')) {
    const request = resources.requests?.[name];
    if (request !== undefined && compareQuantities(amount, quantityOf(request)) > 0)
      errors.push(
        invalidValue(
          `${at}.requests[${name}]`,
          request,
          `must be greater than or equal to aggregate container requests of ${formatQuantity(amount)}`,
        ),
      );
  }
  for (const [name, amount] of aggregateContainerResources(spec, 'limits')) {
    const limit = resources.limits?.[name];
    if (isHugePages(name) && limit !== undefined && compareQuantities(amount, quantityOf(limit)) > 0)
      errors.push(
        invalidValue(
          `${at}.limits[${name}]`,
          limit,
          `must be greater than or equal to aggregate container limits of ${formatQuantity(amount)}`,
        ),
      );
  }
  for (const [i, container] of (spec.containers ?? []).entries()) {
    for (const [name, amount] of Object.entries(container.resources?.limits ?? {})) {
      const limit = resources.limits?.[name];
      if (limit !== undefined && compareAmounts(amount, limit) > 0)
        errors.push(
          invalidValue(
            `${at}.containers[${i}][${name}].limits`,
            amount,
            `must be less than or equal to pod limits of ${limit}`,
          ),
        );
    }
  }
  return errors;
}
