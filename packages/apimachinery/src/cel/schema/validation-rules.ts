/**
 * `x-kubernetes-validations` of a schema: compiled once, then run over objects.
 *
 *     const rules = compileValidationRules(schema, { isRoot: true });
 *     const budget = new RuleBudget();
 *     rules.validate(object, old, '', budget)   // the rules that are broken
 *
 * Texts are those of apiextensions-apiserver (pkg/apiserver/schema/cel). Why a schema's rules are refused, says
 * `compileSchemaRules`.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import { getOwn, isJsonArray, isJsonObject } from '../../json.ts';
import type { JsonObject, JsonValue } from '../../json.ts';
import { goQuote } from '../../go-quote.ts';
import type { FieldError } from '../../status-error.ts';
import { Correlation } from '../../structural/correlation.ts';
import { compileValueSchema } from '../../structural/value-schema.ts';
import type { ValueSchema } from '../../structural/value-schema.ts';
import {
  child,
  duplicate,
  fieldErrorText,
  forbiddenField,
  index,
  invalidValue,
  key,
  required,
} from '../../validation/field-errors.ts';
import { CEL_CALL_COST_LIMIT, CEL_RUNTIME_COST_BUDGET } from '../program.ts';
import { CelError, CelOptional, OPTIONAL_NONE } from '../value/value.ts';
import type { CelResult } from '../value/value.ts';
import { declaredTypeOf, isEmbedded, itemsOf, valuesOf, withObjectMeta } from './declared-type.ts';
import type { DeclaredType } from './declared-type.ts';
import { escapeName } from './escaping.ts';
import { compileRules } from './rule-compiler.ts';
import type { CompiledRule } from './rule-compiler.ts';
import { schemaValue } from './schema-value.ts';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;
type ValidationRule = apiextensionsv1.ValidationRule;

export interface ValidationRulesOptions {
  /** The schema of a whole resource: its apiVersion, kind, metadata.name and metadata.generateName are known. */
  readonly isRoot: boolean;
}

export interface RuleRunOptions {
  /** Errors of what did not change since `old` are told here instead of being errors. */
  readonly onWarning?: (text: string) => void;
}

/** What all rules for one object may cost together. Shared by the calls that check it. */
export class RuleBudget {
  #remaining: number;

  constructor(cost: number = CEL_RUNTIME_COST_BUDGET) {
    this.#remaining = cost;
  }

  get remaining(): number {
    return this.#remaining;
  }

  get isExhausted(): boolean {
    return this.#remaining < 0;
  }

  spend(cost: number): void {
    this.#remaining -= cost;
  }

  exhaust(): void {
    this.#remaining = -1;
  }
}

export function compileValidationRules(
  props: JSONSchemaProps,
  options: ValidationRulesOptions,
): ValidationRules {
  return new ValidationRules(props, options);
}

export class ValidationRules {
  readonly #root: RuleNode | undefined;
  readonly #schema: JSONSchemaProps;
  #valueSchema: ValueSchema | undefined;

  constructor(props: JSONSchemaProps, { isRoot }: ValidationRulesOptions) {
    const isResource = isRoot || isEmbedded(props);
    this.#schema = props;
    this.#root = hasRules(props)
      ? compileNode(props, isResource, declaredTypeOf(props, isResource), props)
      : undefined;
  }

  get isEmpty(): boolean {
    return this.#root === undefined;
  }

  /**
   * The rules that `value` breaks. `old` is what it replaces, undefined when it is new; errors of what stayed the same
   * are let pass then.
   */
  validate(
    value: JsonValue,
    old: JsonValue | undefined,
    path: string,
    budget: RuleBudget,
    options: RuleRunOptions = {},
  ): readonly FieldError[] {
    if (this.#root === undefined) return [];
    const errors: FieldError[] = [];
    let correlation: Correlation | undefined;
    if (old !== undefined && old !== null) {
      this.#valueSchema ??= compileValueSchema(this.#schema);
      correlation = new Correlation(value, old, this.#valueSchema);
    }
    const run: Run = { errors, budget, onWarning: options.onWarning };
    validateNode(this.#root, value, old ?? undefined, path, { current: correlation, parent: undefined }, run);
    return errors;
  }
}

/** A place of the schema with rules, or with such places below it. */
interface RuleNode {
  readonly schema: JSONSchemaProps;
  /** With name and kind, for the root of a resource. */
  readonly valueSchema: JSONSchemaProps;
  readonly rules: readonly CompiledRule[];
  /** The place cannot be seen by expressions, though it has rules. */
  readonly error: string | undefined;
  readonly usesOldSelf: boolean;
  readonly items: RuleNode | undefined;
  readonly values: RuleNode | undefined;
  readonly properties: ReadonlyMap<string, RuleNode>;
  readonly allOf: readonly RuleNode[];
}

function hasRules(schema: JSONSchemaProps | undefined): boolean {
  if (schema === undefined) return false;
  if ((schema['x-kubernetes-validations']?.length ?? 0) > 0) return true;
  return (
    hasRules(itemsOf(schema)) ||
    hasRules(valuesOf(schema)) ||
    Object.values(schema.properties ?? {}).some(hasRules) ||
    (schema.allOf ?? []).some(hasRules)
  );
}

/** `added`: the schema whose rules are compiled; another one where `allOf` adds rules to what `schema` describes. */
function compileNode(
  schema: JSONSchemaProps,
  isResource: boolean,
  declared: DeclaredType | undefined,
  added: JSONSchemaProps,
): RuleNode {
  const element = declared?.kind === 'list' || declared?.kind === 'map' ? declared.element : undefined;
  const properties = new Map<string, RuleNode>();
  for (const [name, addedProperty] of Object.entries(added.properties ?? {})) {
    const property = schema.properties?.[name];
    if (property === undefined || !hasRules(addedProperty)) continue;
    const escaped = escapeName(name);
    // Names that cannot be escaped are unknown to rules above, not to rules below.
    const known =
      escaped === undefined
        ? declaredTypeOf(property, isEmbedded(property))
        : declared?.kind === 'object'
          ? declared.fields.get(escaped)
          : undefined;
    if (known !== undefined)
      properties.set(name, compileNode(property, isEmbedded(property), known, addedProperty));
  }
  const below = (
    part: JSONSchemaProps | undefined,
    addedPart: JSONSchemaProps | undefined,
  ): RuleNode | undefined =>
    part !== undefined && addedPart !== undefined && hasRules(addedPart)
      ? compileNode(part, isEmbedded(part), element, addedPart)
      : undefined;
  const rules = added['x-kubernetes-validations'] ?? [];
  const compiled = declared === undefined ? [] : compileRules(rules, declared, schema);
  return {
    schema,
    valueSchema: isResource ? withObjectMeta(schema) : schema,
    rules: compiled,
    error:
      rules.length > 0 && declared === undefined
        ? 'failed to convert to declType for CEL validation rules'
        : undefined,
    usesOldSelf: compiled.some((rule) => rule.usesOldSelf),
    items: below(itemsOf(schema), itemsOf(added)),
    values: below(valuesOf(schema), valuesOf(added)),
    properties,
    allOf: (added.allOf ?? [])
      .filter(hasRules)
      .map((nested) => compileNode(schema, isResource, declared, nested)),
  };
}

interface Run {
  readonly errors: FieldError[];
  readonly budget: RuleBudget;
  readonly onWarning: ((text: string) => void) | undefined;
}

/** The old value of a place, or of the nearest one above it that has one. */
interface Ratchet {
  readonly current: Correlation | undefined;
  readonly parent: Correlation | undefined;
}

function isUnchanged({ current, parent }: Ratchet): boolean {
  return (current ?? parent)?.equal ?? false;
}

function fieldOf(ratchet: Ratchet, name: string): Ratchet {
  const { current, parent } = ratchet;
  if (current === undefined) return ratchet;
  // Both objects were converted to one version, so changes of these are not seen.
  if (parent === undefined && (name === 'apiVersion' || name === 'kind'))
    return { current: undefined, parent: undefined };
  return { current: current.field(name), parent: current };
}

function itemOf(ratchet: Ratchet, position: number): Ratchet {
  const { current } = ratchet;
  return current === undefined ? ratchet : { current: current.item(position), parent: current };
}

/** False when the budget is gone. */
function validateNode(
  node: RuleNode,
  value: JsonValue | undefined,
  old: JsonValue | undefined,
  path: string,
  ratchet: Ratchet,
  run: Run,
): boolean {
  if (value === undefined || value === null) return true;
  runRules(node, value, old ?? undefined, path, ratchet, run);
  if (run.budget.isExhausted) return false;
  for (const nested of node.allOf) {
    const uncorrelated = { current: undefined, parent: ratchet.parent };
    if (!validateNode(nested, value, old, path, uncorrelated, run)) return false;
  }
  if (isJsonArray(value)) return validateItems(node, value, old, path, ratchet, run);
  return !isJsonObject(value) || validateFields(node, value, old, path, ratchet, run);
}

function validateItems(
  node: RuleNode,
  value: readonly JsonValue[],
  old: JsonValue | undefined,
  path: string,
  ratchet: Ratchet,
  run: Run,
): boolean {
  const { items } = node;
  if (items === undefined) return true;
  const oldItem = oldItems(node.schema, old);
  return value.every((item, i) =>
    validateNode(items, item, oldItem(item), index(path, i), itemOf(ratchet, i), run),
  );
}

function validateFields(
  node: RuleNode,
  value: JsonObject,
  old: JsonValue | undefined,
  path: string,
  ratchet: Ratchet,
  run: Run,
): boolean {
  const oldFields = isJsonObject(old) ? old : undefined;
  const oldField = (name: string): JsonValue | undefined =>
    oldFields === undefined ? undefined : getOwn(oldFields, name);
  const { values, properties } = node;
  if (values !== undefined)
    for (const name of Object.keys(value))
      if (!validateNode(values, value[name], oldField(name), key(path, name), fieldOf(ratchet, name), run))
        return false;
  if (properties.size > 0)
    for (const name of Object.keys(value)) {
      const property = properties.get(name);
      if (property === undefined) continue;
      if (
        !validateNode(property, value[name], oldField(name), child(path, name), fieldOf(ratchet, name), run)
      )
        return false;
    }
  return true;
}

/** Finds the old item of the same keys, in lists of type `map`. */
function oldItems(
  schema: JSONSchemaProps,
  old: JsonValue | undefined,
): (item: JsonValue) => JsonValue | undefined {
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  if (schema['x-kubernetes-list-type'] !== 'map' || keys.length === 0 || !isJsonArray(old))
    return () => undefined;
  const byKey = new Map<string, JsonValue>();
  for (const item of old) {
    const itemKey = keyOf(item, keys);
    if (itemKey !== undefined && !byKey.has(itemKey)) byKey.set(itemKey, item);
  }
  return (item) => {
    const itemKey = keyOf(item, keys);
    return itemKey === undefined ? undefined : byKey.get(itemKey);
  };
}

function keyOf(item: JsonValue, keys: readonly string[]): string | undefined {
  if (!isJsonObject(item)) return undefined;
  const values = keys.map((name) => getOwn(item, name));
  if (values.some((value) => value === undefined || typeof value === 'object')) return undefined;
  return JSON.stringify(values);
}

const OUT_OF_BUDGET =
  'validation failed due to running out of cost budget, no further validation rules will be run';

interface Activation {
  readonly self: CelResult;
  readonly oldSelf: CelResult | undefined;
}

function runRules(
  node: RuleNode,
  value: JsonValue,
  old: JsonValue | undefined,
  path: string,
  ratchet: Ratchet,
  run: Run,
): void {
  const { budget, errors } = run;
  const typeName = node.schema.type ?? '';
  const invalid = (detail: string): void => {
    errors.push(invalidValue(path, typeName, detail));
  };
  if (node.error !== undefined) {
    invalid(`rule compiler initialization error: ${node.error}`);
    return;
  }
  if (node.rules.length === 0) return;
  if (budget.remaining <= 0) {
    invalid(OUT_OF_BUDGET);
    budget.exhaust();
    return;
  }
  const self = schemaValue(value, node.valueSchema);
  const oldSelf =
    old === undefined || old === null || !node.usesOldSelf ? undefined : schemaValue(old, node.valueSchema);
  for (const compiled of node.rules) {
    const { rule, program } = compiled;
    if (compiled.error !== undefined) {
      invalid(`rule compile error: ${compiled.error}`);
      continue;
    }
    if (program === undefined) continue;
    const optional = rule.optionalOldSelf === true;
    if (compiled.usesOldSelf && oldSelf === undefined && !optional) continue;
    const activation: Activation = { self, oldSelf: optional ? optionalOf(oldSelf) : oldSelf };
    const { value: result, cost, cancelled } = program.evaluate({ ...activation }, CEL_CALL_COST_LIMIT);
    if (cost > budget.remaining) {
      invalid(OUT_OF_BUDGET);
      budget.exhaust();
      return;
    }
    budget.spend(cost);
    if (result instanceof CelError) {
      invalid(evaluationProblem(result.message, cancelled, rule));
      if (!cancelled) continue;
      budget.exhaust();
      return;
    }
    if (result === true) continue;
    const place = compiled.fieldPath === '' ? path : child(path, compiled.fieldPath);
    const report = (error: FieldError): void => {
      if (!compiled.usesOldSelf && isUnchanged(ratchet)) run.onWarning?.(fieldErrorText(error));
      else errors.push(error);
    };
    const message = messageOf(compiled, activation, budget);
    if (message.fatal !== undefined) {
      report(invalidValue(place, typeName, message.fatal));
      budget.exhaust();
      return;
    }
    report(
      brokenRule(
        place,
        typeName === 'object' || typeName === 'array' ? undefined : value,
        message.text,
        rule,
      ),
    );
  }
}

function optionalOf(value: CelResult | undefined): CelResult {
  if (value === undefined) return OPTIONAL_NONE;
  return value instanceof CelError ? value : new CelOptional(value);
}

function evaluationProblem(message: string, cancelled: boolean, rule: ValidationRule): string {
  if (cancelled)
    return `'${message}': no further validation rules will be run due to call cost exceeds limit for rule: ${ruleName(rule)}`;
  if (message.startsWith('no such overload'))
    return `'${message}': call arguments did not match a supported operator, function or macro signature for rule: ${ruleName(rule)}`;
  return `${message} evaluating rule: ${ruleName(rule)}`;
}

function ruleName(rule: ValidationRule): string {
  return (rule.message !== undefined && rule.message !== '' ? rule.message : rule.rule).trim();
}

function brokenRule(
  path: string,
  value: JsonValue | undefined,
  detail: string,
  rule: ValidationRule,
): FieldError {
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return forbiddenField(path, detail);
    case 'FieldValueRequired':
      return required(path, detail);
    case 'FieldValueDuplicate':
      return value === undefined
        ? { type: 'FieldValueDuplicate', field: path, body: 'Duplicate value' }
        : duplicate(path, value);
    default:
      // Objects and lists are not repeated in messages.
      return value === undefined
        ? { type: 'FieldValueInvalid', field: path, body: `Invalid value: ${detail}` }
        : invalidValue(path, value, detail);
  }
}

const MAX_MESSAGE_SIZE = 5 * 1024;

/** The text for a broken rule; `fatal` ends validation. */
function messageOf(
  { rule, message }: CompiledRule,
  activation: Activation,
  budget: RuleBudget,
): { readonly text: string; readonly fatal?: string } {
  const text =
    rule.message === undefined || rule.message === ''
      ? `failed rule: ${ruleName(rule)}`
      : rule.message.trim();
  if (message === undefined) return { text };
  const { value, cost, cancelled } = message.evaluate({ ...activation }, CEL_CALL_COST_LIMIT);
  if (cost > budget.remaining)
    return {
      text,
      fatal:
        'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run',
    };
  if (cancelled)
    return {
      text,
      fatal: `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${goQuote(message.expression)}`,
    };
  budget.spend(cost);
  const made = typeof value === 'string' ? value.trim() : '';
  const usable = made !== '' && Buffer.byteLength(made) <= MAX_MESSAGE_SIZE && !made.includes('\n');
  return { text: usable ? made : text };
}
