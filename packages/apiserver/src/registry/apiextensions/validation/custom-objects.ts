/**
 * What custom resources are held to beside their schema (apiextensions-apiserver, pkg/registry/customresource): the numbers
 * behind the scale subresource, and the names of finalizers.
 */
import type { apiextensionsv1, KubeObject } from '@k8ts/api';
import {
  getOwn,
  goQuote,
  goValueText,
  invalidValue,
  isJsonArray,
  isJsonObject,
  isQualifiedName,
  type FieldError,
  type JsonValue,
} from '@k8ts/apimachinery';

type Scale = apiextensionsv1.CustomResourceSubresourceScale;

const MAX_INT32 = 2 ** 31 - 1;

/** Not asked in updates of the status. */
export function validateScaleSpec(object: KubeObject, { specReplicasPath }: Scale): readonly FieldError[] {
  return validateCount(object, specReplicasPath);
}

export function validateScaleStatus(object: KubeObject, scale: Scale): readonly FieldError[] {
  const { statusReplicasPath, labelSelectorPath } = scale;
  const errors = validateCount(object, statusReplicasPath);
  if (labelSelectorPath === undefined) return errors;
  const { value, problem } = valueAt(object, labelSelectorPath);
  const wrong =
    problem ?? (value === undefined || typeof value === 'string' ? undefined : notA(value, 'string'));
  if (wrong === undefined) return errors;
  const at = namesOf(labelSelectorPath).join('.');
  return [...errors, invalidValue(labelSelectorPath, '', problem ?? `.${at} accessor error: ${wrong}`)];
}

function validateCount(object: KubeObject, path: string): readonly FieldError[] {
  const { value = 0, problem } = valueAt(object, path);
  if (problem !== undefined) return [invalidValue(path, 0, problem)];
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    const at = namesOf(path).join('.');
    return [invalidValue(path, 0, `.${at} accessor error: ${notA(value, 'int64')}`)];
  }
  if (value < 0) return [invalidValue(path, value, 'should be a non-negative integer')];
  if (value <= MAX_INT32) return [];
  return [invalidValue(path, value, `should be less than or equal to ${MAX_INT32}`)];
}

function namesOf(path: string): string[] {
  return path.replace(/^\./, '').split('.');
}

interface Found {
  readonly value?: JsonValue;
  /** Why nothing can be there. */
  readonly problem?: string;
}

function valueAt(object: KubeObject, path: string): Found {
  const names = namesOf(path);
  let value: JsonValue | undefined = object as unknown as JsonValue;
  for (const [i, name] of names.entries()) {
    if (value === undefined || value === null) return {};
    if (!isJsonObject(value)) {
      const at = names.slice(0, i + 1).join('.');
      return { problem: `.${at} accessor error: ${notA(value, 'map[string]interface{}')}` };
    }
    value = getOwn(value, name);
  }
  return value === undefined ? {} : { value };
}

function notA(value: JsonValue, type: string): string {
  return `${goValueText(value)} is of the type ${goType(value)}, expected ${type}`;
}

function goType(value: JsonValue): string {
  if (value === null) return '<nil>';
  if (isJsonArray(value)) return '[]interface {}';
  if (typeof value === 'object') return 'map[string]interface {}';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  return typeof value === 'boolean' ? 'bool' : 'string';
}

const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(['orphan', 'foregroundDeletion', 'kubernetes']);

/** Of finalizers that are new. */
export function finalizerWarnings(object: KubeObject, old: KubeObject | undefined): readonly string[] {
  const known = new Set(old?.metadata.finalizers);
  const added = new Set(object.metadata.finalizers?.filter((name) => !known.has(name)));
  return [...added].sort().flatMap((name) => {
    const about = `metadata.finalizers: ${goQuote(name)}: `;
    const warnings = isQualifiedName(name).map((problem) => about + problem);
    if (name.includes('/') || STANDARD_FINALIZERS.has(name)) return warnings;
    const path = name.includes('.') ? ' including a path (/)' : '';
    return [
      ...warnings,
      `${about}prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
    ];
  });
}
