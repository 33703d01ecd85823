/** Whether an applied configuration fits its schema (structured-merge-diff, typed/validate.go), with upstream's texts. */
import type { Schema } from '@k8ts/api';
import { goQuote } from '../go-quote.ts';
import { goValueText, isJsonArray, isJsonObject } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../json.ts';
import { forEachPath } from './field-set.ts';
import { fieldSchemaOf, listItemElement, listItemFault, relationOf } from './relation.ts';

/** Enough to correct a configuration; a hostile one does not get a megabyte of messages. */
const MAX_FAULTS = 100;

/** One line per fault, `.spec.foo: field not declared in schema`; empty when the value fits. */
export function typedFaults(value: JsonObject, schema: Schema): readonly string[] {
  const faults: string[] = [];
  check(value, schema, '', faults);
  return faults;
}

/** As Go prints the list of them. */
export function typedFaultsText(faults: readonly string[]): string {
  return faults.length === 1
    ? (faults[0] as string)
    : ['errors:', ...faults.map((fault) => `  ${fault}`)].join('\n');
}

function check(value: JsonValue, schema: Schema, path: string, faults: string[]): void {
  if (value === null || faults.length >= MAX_FAULTS) return;
  const fault = formFault(value, schema);
  if (fault !== undefined) {
    faults.push(path === '' ? fault : `${path}: ${fault}`);
    return;
  }
  if (schema.type === 'object' || schema.type === 'map')
    checkFields(value as JsonObject, schema, path, faults);
  else if (schema.type === 'array') checkItems(value as JsonArray, schema, path, faults);
}

function checkFields(value: JsonObject, schema: Schema, path: string, faults: string[]): void {
  // Types without fields take anything.
  if (schema.type === 'object' && schema.fields.size === 0 && schema.items === undefined) return;
  for (const [name, child] of Object.entries(value)) {
    if (child === undefined) continue;
    const fieldSchema = fieldSchemaOf(schema, name);
    if (fieldSchema === undefined) {
      faults.push(`${path}.${name}: field not declared in schema`);
      return;
    }
    check(child, fieldSchema, `${path}.${name}`, faults);
  }
}

function checkItems(list: JsonArray, schema: Schema, path: string, faults: string[]): void {
  const relation = relationOf(schema, list);
  const seen = new Set<string>();
  const prefix = path === '' ? '' : `${path}: `;
  for (const [position, item] of list.entries()) {
    let element = `i:${position}`;
    if (relation !== 'leaf') {
      const found = listItemElement(schema, relation, item);
      if (found === undefined) {
        faults.push(`${prefix}element ${position}: ${listItemFault(schema, relation, item)}`);
        return;
      }
      element = found;
      if (seen.has(element)) faults.push(`${prefix}duplicate entries for key ${elementText(element)}`);
      seen.add(element);
    }
    check(item, schema.items as Schema, path + elementText(element), faults);
  }
}

function elementText(element: string): string {
  let text = '';
  forEachPath({ [element]: {} }, (path) => {
    text = path;
  });
  return text;
}

function formFault(value: JsonValue, schema: Schema): string | undefined {
  switch (schema.type) {
    case 'object':
    case 'map':
      return isJsonObject(value) ? undefined : `expected map, got &{${goValueText(value)}}`;
    case 'array':
      return isJsonArray(value) ? undefined : `expected list, got &{${goValueText(value)}}`;
    case 'string':
    case 'bytes':
    case 'time':
    case 'microTime':
    case 'duration':
      return typeof value === 'string'
        ? undefined
        : `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got &{${goValueText(value)}}`;
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
      return typeof value === 'number' ? undefined : `expected numeric (int or float), got ${goType(value)}`;
    case 'quantity':
    case 'intOrString':
      return typeof value === 'object' ? `expected any scalar, got &{${goValueText(value)}}` : undefined;
    default:
      return undefined;
  }
}

function goSyntax(value: JsonValue): string {
  if (typeof value === 'string') return goQuote(value);
  if (isJsonArray(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`;
  if (!isJsonObject(value)) return value === null ? 'interface {}(nil)' : String(value);
  const members = Object.entries(value).map(([name, child]) => `${goQuote(name)}:${goSyntax(child ?? null)}`);
  return `map[string]interface {}{${members.sort().join(', ')}}`;
}

function goType(value: JsonValue): string {
  if (isJsonArray(value)) return '[]interface {}';
  if (isJsonObject(value)) return 'map[string]interface {}';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}
