/** What the controllers of pods have in common: a selector, a template, and a status of counts. */
import type { corev1, KubeObject } from '@k8ts/api';
import {
  formatLabelSelector,
  invalidValue,
  isDNS1123Label,
  labelSelectorFromObject,
  required,
  SelectorError,
  validateLabelSelector,
  type FieldError,
  type LabelSelectorFields,
} from '@k8ts/apimachinery';
import { podWarnings } from './core/pod-template/warnings.ts';
import { notNegative } from './field-rules.ts';
import { hostnameWarning } from './strategy-parts.ts';

/** A selector that must be there and say something. `kind` as the message names it. */
export function validateRequiredSelector(
  selector: LabelSelectorFields | undefined,
  path: string,
  kind: string,
  wrongDetail = 'invalid label selector',
): FieldError[] {
  if (selector === undefined) return [required(path, '')];
  const errors = validateLabelSelector(selector, path);
  if (isEmptySelector(selector))
    errors.push(invalidValue(path, selector, `empty selector is invalid for ${kind}`));
  if (!isReadable(selector)) errors.push(invalidValue(path, selector, wrongDetail));
  return errors;
}

export function isEmptySelector({ matchLabels = {}, matchExpressions = [] }: LabelSelectorFields): boolean {
  return matchExpressions.length === 0 && Object.keys(matchLabels).length === 0;
}

export function isReadable(selector: LabelSelectorFields): boolean {
  try {
    labelSelectorFromObject(selector);
    return true;
  } catch (error) {
    if (error instanceof SelectorError) return false;
    throw error;
  }
}

export function selectorText(selector: LabelSelectorFields | undefined): string {
  return formatLabelSelector(labelSelectorFromObject(selector));
}

/** The path is `spec.template` for all but jobs in cron jobs. */
export function templateWarnings(
  template: corev1.PodTemplateSpec | undefined,
  path = 'spec.template',
): string[] {
  return podWarnings(template?.spec, template?.metadata, path);
}

/** On creation and, as upstream has it, on updates that change the generation. */
export function workloadWarnings(
  object: KubeObject & { readonly spec?: { readonly template?: corev1.PodTemplateSpec } },
  old: KubeObject | undefined,
  { namesHosts }: { readonly namesHosts: boolean },
): string[] {
  if (old !== undefined && object.metadata.generation === old.metadata.generation) return [];
  const wrong = namesHosts && old === undefined ? isDNS1123Label(object.metadata.name) : [];
  return [
    ...(wrong.length > 0 ? [hostnameWarning('Pod names and hostnames', wrong)] : []),
    ...templateWarnings(object.spec?.template),
  ];
}

/** Counts of a status, none below zero. */
export function validateCounts<F extends string>(
  status: { readonly [name in F]?: number },
  fields: readonly F[],
): FieldError[] {
  return fields.flatMap((field) => notNegative(status[field], `status.${field}`));
}

/** Counts of a status of which none may exceed another one. */
export function validateAtMost<F extends string, L extends string>(
  status: { readonly [name in F | L]?: number },
  fields: readonly F[],
  limit: L,
  limitName: string = limit,
): FieldError[] {
  return fields.flatMap((field) =>
    (status[field] ?? 0) > (status[limit] ?? 0)
      ? [invalidValue(`status.${field}`, status[field], `cannot be greater than ${limitName}`)]
      : [],
  );
}

interface Collisions {
  readonly collisionCount?: number;
}

export function validateCollisions(status: Collisions = {}, old: Collisions = {}): FieldError[] {
  const before = old.collisionCount;
  const now = status.collisionCount ?? 0;
  return before !== undefined && (status.collisionCount === undefined || now < before)
    ? [invalidValue('status.collisionCount', now, 'cannot be decremented')]
    : [];
}
