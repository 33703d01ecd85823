/** What a pod says to the scheduler: affinity, tolerations, spreading. */
import type { corev1 } from '@k8ts/api';
import {
  duplicate,
  forbiddenField,
  invalidValue,
  isValidLabelValue,
  nameIsDNSLabel,
  nameIsDNSSubdomain,
  notSupported,
  required,
  validateLabelName,
  validateLabelSelector,
  type FieldError,
  type LabelSelectorFields,
} from '@k8ts/apimachinery';
import { each, messages, NOT_POSITIVE } from '../../field-rules.ts';
import { validateTaintEffect } from '../node.ts';

const NOT_AN_OPERATOR = 'not a valid selector operator';

function validateRequirement(
  { key = '', operator, values = [] }: corev1.NodeSelectorRequirement,
  checkValues: boolean,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0)
        errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0)
        errors.push(
          forbiddenField(
            `${path}.values`,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
          ),
        );
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1)
        errors.push(
          required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
        );
      break;
    default:
      errors.push(invalidValue(`${path}.operator`, operator ?? '', NOT_AN_OPERATOR));
  }
  errors.push(...validateLabelName(key, `${path}.key`));
  if (checkValues)
    errors.push(
      ...each(values, `${path}.values`, (value, at) => messages(isValidLabelValue(value), value, at)),
    );
  return errors;
}

function validateFieldRequirement(
  { key = '', operator, values = [] }: corev1.NodeSelectorRequirement,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length !== 1)
      errors.push(
        required(
          `${path}.values`,
          "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
      );
  } else {
    errors.push(invalidValue(`${path}.operator`, operator ?? '', NOT_AN_OPERATOR));
  }
  if (key !== 'metadata.name')
    errors.push(invalidValue(`${path}.key`, key, 'not a valid field selector key'));
  else
    errors.push(
      ...each(values, `${path}.values`, (value, at) => messages(nameIsDNSSubdomain(value, false), value, at)),
    );
  return errors;
}

function validateTerm(
  term: corev1.NodeSelectorTerm | undefined,
  checkValues: boolean,
  path: string,
): FieldError[] {
  return [
    ...each(term?.matchExpressions, `${path}.matchExpressions`, (requirement, at) =>
      validateRequirement(requirement, checkValues, at),
    ),
    ...each(term?.matchFields, `${path}.matchFields`, validateFieldRequirement),
  ];
}

export function validateNodeSelector(selector: corev1.NodeSelector, path: string): FieldError[] {
  const terms = selector.nodeSelectorTerms ?? [];
  const at = `${path}.nodeSelectorTerms`;
  if (terms.length === 0) return [required(at, 'must have at least one node selector term')];
  return each(terms, at, (term, termPath) => validateTerm(term, true, termPath));
}

const RANGE = 'must be in the range 1-100';
const weight = (value: number | undefined, path: string): FieldError[] =>
  (value ?? 0) <= 0 || (value ?? 0) > 100 ? [invalidValue(`${path}.weight`, value ?? 0, RANGE)] : [];

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

export function validateAffinity(affinity: corev1.Affinity | undefined, path: string): FieldError[] {
  if (affinity === undefined) return [];
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  const errors: FieldError[] = [];
  if (nodeAffinity?.[REQUIRED] !== undefined)
    errors.push(...validateNodeSelector(nodeAffinity[REQUIRED], `${path}.nodeAffinity.${REQUIRED}`));
  errors.push(
    ...each(nodeAffinity?.[PREFERRED], `${path}.nodeAffinity.${PREFERRED}`, (term, at) => [
      ...weight(term.weight, at),
      ...validateTerm(term.preference, false, `${at}.preference`),
    ]),
  );
  for (const [name, terms] of [
    ['podAffinity', podAffinity],
    ['podAntiAffinity', podAntiAffinity],
  ] as const) {
    errors.push(...each(terms?.[REQUIRED], `${path}.${name}.${REQUIRED}`, validatePodTerm));
    errors.push(
      ...each(terms?.[PREFERRED], `${path}.${name}.${PREFERRED}`, (term, at) => [
        ...weight(term.weight, at),
        ...validatePodTerm(term.podAffinityTerm ?? ({} as corev1.PodAffinityTerm), `${at}.podAffinityTerm`),
      ]),
    );
  }
  return errors;
}

function validatePodTerm(term: corev1.PodAffinityTerm, path: string): FieldError[] {
  const { topologyKey = '' } = term;
  return [
    ...validateLabelSelector(term.labelSelector, `${path}.labelSelector`),
    ...validateLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`),
    ...(term.namespaces ?? []).flatMap((name) =>
      messages(nameIsDNSLabel(name, false), name, `${path}.namespace`),
    ),
    ...validateLabelKeys(term.matchLabelKeys, term.mismatchLabelKeys, term.labelSelector, path),
    ...(topologyKey === '' ? [required(`${path}.topologyKey`, 'can not be empty')] : []),
    ...validateLabelName(topologyKey, `${path}.topologyKey`),
  ];
}

/** Keys that a pod's own labels fill in may not stand in the selector too. */
function validateLabelKeys(
  match: readonly string[] | undefined,
  mismatch: readonly string[] | undefined,
  selector: LabelSelectorFields | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [field, keys = []] of [
    ['matchLabelKeys', match],
    ['mismatchLabelKeys', mismatch],
  ] as const) {
    if (keys.length === 0) continue;
    if (selector === undefined)
      errors.push(forbiddenField(`${path}.${field}`, 'must not be specified when labelSelector is not set'));
    else errors.push(...each(keys, `${path}.${field}`, (key, at) => validateLabelName(key, at)));
  }
  if (selector !== undefined) {
    const known = new Set(Object.keys(selector.matchLabels ?? {}));
    for (const { key } of selector.matchExpressions ?? []) {
      const position = (match ?? []).lastIndexOf(key);
      if (position >= 0 && known.has(key))
        errors.push(
          invalidValue(`${path}[${position}]`, key, 'exists in both matchLabelKeys and labelSelector'),
        );
      known.add(key);
    }
  }
  for (const [i, key] of (match ?? []).entries())
    if (mismatch?.includes(key))
      errors.push(
        invalidValue(
          `${path}.matchLabelKeys[${i}]`,
          key,
          'exists in both matchLabelKeys and mismatchLabelKeys',
        ),
      );
  return errors;
}

export function validateTolerations(
  tolerations: readonly corev1.Toleration[] | undefined,
  path: string,
): FieldError[] {
  return each(tolerations, path, (toleration, at) => {
    const { key = '', value = '', effect = '', tolerationSeconds } = toleration;
    const operator: string = toleration.operator ?? '';
    const errors = key === '' ? [] : validateLabelName(key, `${at}.key`);
    if (key === '' && operator !== 'Exists')
      errors.push(
        invalidValue(
          `${at}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    if (tolerationSeconds !== undefined && effect !== 'NoExecute')
      errors.push(
        invalidValue(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"),
      );
    if (operator === 'Equal' || operator === '') {
      const wrong = isValidLabelValue(value);
      if (wrong.length > 0) errors.push(invalidValue(`${at}.operator`, value, wrong.join(';')));
    } else if (operator === 'Exists') {
      if (value !== '')
        errors.push(invalidValue(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"));
    } else {
      const comparison = operator === 'Lt' || operator === 'Gt';
      errors.push(
        notSupported(`${at}.operator`, operator, ['Equal', 'Exists', ...(comparison ? ['Lt', 'Gt'] : [])]),
      );
    }
    if (effect !== '') errors.push(...validateTaintEffect(effect, true, `${at}.effect`));
    return errors;
  });
}

/** Tolerations may be added to a pod that exists, and their seconds changed. */
export function validateOnlyAddedTolerations(
  next: readonly corev1.Toleration[],
  old: readonly corev1.Toleration[],
  path: string,
): FieldError[] {
  const same = (a: corev1.Toleration, b: corev1.Toleration): boolean =>
    (['key', 'operator', 'value', 'effect'] as const).every((field) => (a[field] ?? '') === (b[field] ?? ''));
  for (const before of old)
    if (!next.some((toleration) => same(toleration, before)))
      return [forbiddenField(path, 'existing toleration can not be modified except its tolerationSeconds')];
  return validateTolerations(next, path);
}

/** pkg/apis/core/validation: validateTopologySpreadConstraints. */
export function validateTopologySpread(
  constraints: readonly corev1.TopologySpreadConstraint[] | undefined,
  path: string,
): FieldError[] {
  return each(constraints, path, (constraint, at, position) => {
    const { maxSkew = 0, topologyKey = '', whenUnsatisfiable, minDomains, labelSelector } = constraint;
    const errors: FieldError[] = [];
    const action: string = whenUnsatisfiable ?? '';
    if (maxSkew <= 0) errors.push(invalidValue(`${at}.maxSkew`, maxSkew, NOT_POSITIVE));
    if (topologyKey === '') errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    const actions = ['DoNotSchedule', 'ScheduleAnyway'];
    if (!actions.includes(action)) errors.push(notSupported(`${at}.whenUnsatisfiable`, action, actions));
    const repeated = (constraints ?? [])
      .slice(position + 1)
      .some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable);
    if (repeated)
      errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${action}}`));
    if (minDomains !== undefined) {
      if (minDomains <= 0) errors.push(invalidValue(`${at}.minDomains`, minDomains, NOT_POSITIVE));
      if (action !== 'DoNotSchedule')
        errors.push(
          invalidValue(
            `${at}.minDomains`,
            minDomains,
            `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action}`,
          ),
        );
    }
    for (const field of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      const policy: string | undefined = constraint[field];
      if (policy !== undefined && policy !== 'Honor' && policy !== 'Ignore')
        errors.push(notSupported(`${at}.${field}`, policy, ['Honor', 'Ignore']));
    }
    errors.push(...validateLabelKeys(constraint.matchLabelKeys, undefined, labelSelector, at));
    errors.push(...validateLabelSelector(labelSelector, `${at}.labelSelector`));
    return errors;
  });
}
