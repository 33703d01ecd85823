import { corev1 } from '@k8ts/api';
import {
  duplicate,
  forbiddenField,
  index,
  invalidValue,
  isValidLabelValue,
  notSupported,
  required,
  validateLabelName,
  type FieldError,
} from '@k8ts/apimachinery';
import { nodeColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { each } from '../field-rules.ts';
import { cidrWarnings, isDualStack, parseCidr, validateLegacyCidr } from '../ip-addresses.ts';
import { roundUpToMilli } from '../quantities.ts';
import { validateResourceQuantity } from '../resource-names.ts';
import { keepField, statusStrategy } from '../strategy-parts.ts';

type Node = corev1.Node;

const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function validateTaintEffect(
  effect: string | undefined,
  allowEmpty: boolean,
  path: string,
): FieldError[] {
  if (!effect) return allowEmpty ? [] : [required(path, '')];
  return TAINT_EFFECTS.includes(effect) ? [] : [notSupported(path, effect, TAINT_EFFECTS)];
}

// Upstream checks spec.taints and names metadata.taints; clients match on that.
function validateTaints(taints: readonly corev1.Taint[] | undefined, path: string): FieldError[] {
  const seen = new Set<string>();
  return each(taints, path, (taint, at) => {
    const errors = validateLabelName(taint.key ?? '', `${at}.key`);
    const wrongValue = isValidLabelValue(taint.value ?? '');
    if (wrongValue.length > 0) errors.push(invalidValue(`${at}.value`, taint.value, wrongValue.join(';')));
    errors.push(...validateTaintEffect(taint.effect, false, `${at}.effect`));
    const id = `${taint.effect}/${taint.key}`;
    if (seen.has(id)) {
      const error = duplicate(at, taint);
      errors.push({ ...error, body: `${error.body}: taints must be unique by key and effect pair` });
    }
    seen.add(id);
    return errors;
  });
}

function validateResources({ status }: Node): FieldError[] {
  const errors: FieldError[] = [];
  for (const list of ['capacity', 'allocatable'] as const)
    for (const [name, value] of Object.entries(status?.[list] ?? {}))
      errors.push(...validateResourceQuantity(name, value, `status.${list}.${name}`));
  return errors;
}

const FEATURE_NAME = /^[A-Z][a-zA-Z0-9]*(?:\/[a-zA-Z0-9]+)*$/;

function validateDeclaredFeatures({ status }: Node): FieldError[] {
  const features = status?.declaredFeatures ?? [];
  const path = 'status.declaredFeatures';
  return each(features, path, (feature, at, position) => {
    const errors: FieldError[] = [];
    if (feature.length > 253)
      errors.push(
        invalidValue(at, feature, `invalid feature name "${feature}": must be no more than 253 characters`),
      );
    else if (!FEATURE_NAME.test(feature))
      errors.push(
        invalidValue(
          at,
          feature,
          `invalid feature name "${feature}": must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes`,
        ),
      );
    const next = features[position + 1];
    if (next === feature) errors.push(duplicate(index(path, position + 1), next));
    else if (next !== undefined && feature > next)
      errors.push(invalidValue(index(path, position + 1), next, 'list must be sorted alphabetically'));
    return errors;
  });
}

function validatePodCidrs(cidrs: readonly string[]): FieldError[] {
  const errors = each(cidrs, 'spec.podCIDRs', (cidr, at) => validateLegacyCidr(cidr, at));
  if (cidrs.length > 1) {
    const versions = cidrs
      .map((cidr) => parseCidr(cidr)?.address.version)
      .filter((version) => version !== undefined);
    if (!isDualStack(versions) || cidrs.length > 2)
      errors.push(
        invalidValue('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family'),
      );
  }
  return errors;
}

function validate(node: Node): FieldError[] {
  return [
    ...validateTaints(node.spec?.taints, 'metadata.taints'),
    ...validateResources(node),
    ...validateDeclaredFeatures(node),
    ...validatePodCidrs(node.spec?.podCIDRs ?? []),
  ];
}

function validateUpdate(node: Node, old: Node): FieldError[] {
  const errors = [...validateResources(node), ...validateDeclaredFeatures(node)];
  const addresses = new Set<string>();
  for (const [position, address] of (node.status?.addresses ?? []).entries()) {
    const id = `${address.type} ${address.address}`;
    if (addresses.has(id)) errors.push(duplicate(index('status.addresses', position), address));
    addresses.add(id);
  }
  const before = old.spec?.podCIDRs ?? [];
  const after = node.spec?.podCIDRs ?? [];
  const CIDR_KEPT = 'node updates may not change podCIDR except from "" to valid';
  if (before.length > 0) {
    if (before.length !== after.length) errors.push(forbiddenField('spec.podCIDRs', CIDR_KEPT));
    else
      for (const [position, cidr] of before.entries())
        if (after[position] !== cidr) errors.push(forbiddenField('spec.podCIDRs', CIDR_KEPT));
  }
  if (old.spec?.providerID && old.spec.providerID !== node.spec?.providerID)
    errors.push(
      forbiddenField('spec.providerID', 'node updates may not change providerID except from "" to valid'),
    );
  errors.push(...validateTaints(node.spec?.taints, 'metadata.taints'));
  if ((node.spec?.externalID ?? '') !== (old.spec?.externalID ?? ''))
    errors.push(forbiddenField('spec.externalID', 'may not be updated'));
  return [...errors, ...validate(node)];
}

export const nodeStrategy: Strategy<Node> = {
  type: corev1.nodes,
  setDefaults(node) {
    const spec = (node.spec ??= {});
    // podCIDR is the first of podCIDRs; clients that know only one of the two fields may write either.
    if (spec.podCIDR && (spec.podCIDRs ?? []).length === 0) spec.podCIDRs = [spec.podCIDR];
    else if (!spec.podCIDR && spec.podCIDRs?.[0] !== undefined) spec.podCIDR = spec.podCIDRs[0];
    const { status } = node;
    if (status === undefined) return;
    if (status.allocatable === undefined && status.capacity !== undefined)
      status.allocatable = { ...status.capacity };
    roundUpToMilli(status.capacity);
    roundUpToMilli(status.allocatable);
  },
  prepareForUpdate: (node, old) => keepField(node, old, 'status'),
  validate,
  validateUpdate,
  warnings(node) {
    const warnings: string[] = [];
    if (node.spec?.configSource !== undefined) warnings.push('spec.configSource: the feature is removed');
    if (node.spec?.externalID)
      warnings.push('spec.externalID: this field is deprecated, and is unused by Kubernetes');
    for (const [position, cidr] of (node.spec?.podCIDRs ?? []).entries())
      warnings.push(...cidrWarnings(cidr, index('spec.podCIDRs', position)));
    return warnings;
  },
  subresources: { status: statusStrategy<Node>({ validateUpdate }) },
  selectableFields: ({ spec }) => ({ 'spec.unschedulable': String(spec?.unschedulable ?? false) }),
  columns: nodeColumns,
};
