import type { corev1, KubeObject } from '@k8ts/api';
import {
  addQuantities,
  amountsOf,
  compareQuantities,
  formatQuantity,
  isInScope,
  quantityOf,
  quantitySign,
  subtractQuantities,
  type Amounts,
  type QuotaEvaluator,
  type ReadonlyAmounts,
} from '@k8ts/apimachinery';
import type { AdmissionAttributes } from '../contract.ts';
import { refuse } from '../refuse.ts';

/** A write that uses what quotas may limit, measured once. */
export interface QuotaRequest {
  readonly attributes: AdmissionAttributes;
  readonly evaluator: QuotaEvaluator;
  readonly object: KubeObject;
  readonly oldObject: KubeObject | undefined;
  readonly usage: ReadonlyAmounts;
  /** What is used more than before; all of it by a creation. */
  readonly increase: ReadonlyAmounts;
}

export function measure(
  attributes: AdmissionAttributes,
  evaluator: QuotaEvaluator,
  now: number,
): QuotaRequest {
  const object = attributes.object as KubeObject;
  const { oldObject } = attributes;
  const usage = evaluator.usage(object, now);
  const negative = [...usage].filter(([, amount]) => quantitySign(amount) < 0).map(([name]) => name);
  if (negative.length > 0)
    throw refuse(attributes, `quota usage is negative for resource(s): ${negative.sort().join(',')}`);
  const increase = oldObject === undefined ? usage : difference(usage, evaluator.usage(oldObject, now));
  return { attributes, evaluator, object, oldObject, usage, increase };
}

function difference(usage: ReadonlyAmounts, before: ReadonlyAmounts): ReadonlyAmounts {
  const increase: Amounts = new Map();
  for (const [name, amount] of usage) {
    const known = before.get(name);
    increase.set(name, known === undefined ? amount : subtractQuantities(amount, known));
  }
  return increase;
}

/**
 * What the quota would have used with the request, when `used` is what it has used before it; undefined when the request
 * is none of its business. Throws 403 when that is more than it allows, or the request lacks what the quota demands
 * (k8s.io/apiserver/pkg/admission/plugin/resourcequota: CheckRequest).
 */
export function chargedWith(
  quota: corev1.ResourceQuota,
  used: ReadonlyAmounts,
  request: QuotaRequest,
): Amounts | undefined {
  const { attributes, evaluator, object, oldObject } = request;
  const hard = quota.status?.hard ?? {};
  const counted = Object.keys(hard).filter((name) => evaluator.counts(name));
  if (counted.length === 0 || !isInScope(evaluator, quota, object)) return undefined;
  const { name } = quota.metadata;
  const lacking = evaluator.lacks?.(counted, object);
  if (lacking !== undefined) throw refuse(attributes, `failed quota: ${name}: ${lacking}`);
  if (counted.some((each) => !used.has(each)))
    throw refuse(attributes, `status unknown for quota: ${name}, resources: ${counted.sort().join(',')}`);

  const isCharged = oldObject !== undefined && isInScope(evaluator, quota, oldObject);
  const wanted = isCharged ? request.increase : request.usage;
  const after: Amounts = new Map(used);
  const requested: Amounts = new Map();
  const exceeded: string[] = [];
  for (const [each, amount] of wanted) {
    const limit = hard[each];
    if (limit === undefined || quantitySign(amount) <= 0) continue;
    const known = used.get(each);
    const sum = known === undefined ? amount : addQuantities(known, amount);
    requested.set(each, amount);
    after.set(each, sum);
    if (compareQuantities(sum, quantityOf(limit)) > 0) exceeded.push(each);
  }
  if (requested.size === 0) return undefined;
  // What a status says has happened already.
  if (exceeded.length > 0 && attributes.subresource !== 'status')
    throw refuse(
      attributes,
      `exceeded quota: ${name}, requested: ${shown(requested, exceeded)}, used: ${shown(used, exceeded)}, limited: ${shown(amountsOf(hard), exceeded)}`,
    );
  return after;
}

/** `cpu=1,pods=2` */
function shown(amounts: ReadonlyAmounts, names: readonly string[]): string {
  return [...names]
    .sort()
    .flatMap((name) => {
      const amount = amounts.get(name);
      return amount === undefined ? [] : [`${name}=${formatQuantity(amount)}`];
    })
    .join(',');
}
