/** Schemas of custom resources in the form that values are checked by; made once per schema. */
import type { apiextensionsv1 } from '@k8ts/api';
import { compileRe2, Re2Error, type Re2 } from '../re2.ts';
import type { JsonValue } from '../json.ts';
import { stringFormat, type StringFormat } from './formats.ts';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;

export interface ValueSchema {
  /** Empty: any. Two for int-or-string. */
  readonly types: readonly string[];
  readonly nullable: boolean;
  /** Empty where the type does not know it. */
  readonly format: string;
  readonly stringFormat: StringFormat | undefined;
  readonly enum: readonly JsonValue[];

  readonly minLength: number | undefined;
  readonly maxLength: number | undefined;
  readonly pattern: Pattern | undefined;

  readonly numbers: NumberRules | undefined;

  readonly items: ValueSchema | undefined;
  readonly minItems: number | undefined;
  readonly maxItems: number | undefined;
  readonly listType: string | undefined;
  readonly listMapKeys: readonly string[];

  readonly properties: ReadonlyMap<string, ValueSchema>;
  /** False: no others. Undefined: others are not looked at. */
  readonly additional: ValueSchema | false | undefined;
  readonly required: readonly string[];
  readonly minProperties: number | undefined;
  readonly maxProperties: number | undefined;

  readonly allOf: readonly ValueSchema[];
  readonly anyOf: readonly ValueSchema[];
  readonly oneOf: readonly ValueSchema[];
  readonly not: ValueSchema | undefined;
}

export interface NumberRules {
  readonly minimum: number | undefined;
  readonly exclusiveMinimum: boolean;
  readonly maximum: number | undefined;
  readonly exclusiveMaximum: boolean;
  readonly multipleOf: number | undefined;
}

interface Pattern {
  readonly source: string;
  /** Compiled when it is first needed: large schemas have thousands. A text says why it cannot be. */
  readonly regexp: () => Re2 | string;
}

export function compileValueSchema(props: JSONSchemaProps): ValueSchema {
  const types = typesOf(props);
  const format = knownFormat(props.format ?? '', types);
  const additional = props.additionalProperties;
  const { items } = props;
  return {
    types,
    nullable: props.nullable ?? false,
    format,
    stringFormat: stringFormat(format),
    enum: props.enum ?? [],
    minLength: props.minLength,
    maxLength: props.maxLength,
    pattern: props.pattern ? compilePattern(props.pattern) : undefined,
    numbers: numberRules(props, types, format),
    items:
      items === undefined || Array.isArray(items) ? undefined : compileValueSchema(items as JSONSchemaProps),
    minItems: props.minItems,
    maxItems: props.maxItems,
    listType: props['x-kubernetes-list-type'],
    listMapKeys: props['x-kubernetes-list-map-keys'] ?? [],
    properties: new Map(
      Object.entries(props.properties ?? {}).map(([name, below]) => [name, compileValueSchema(below)]),
    ),
    additional:
      additional === false
        ? false
        : additional === true || additional === undefined
          ? undefined
          : compileValueSchema(additional),
    required: props.required ?? [],
    minProperties: props.minProperties,
    maxProperties: props.maxProperties,
    allOf: (props.allOf ?? []).map(compileValueSchema),
    anyOf: (props.anyOf ?? []).map(compileValueSchema),
    oneOf: (props.oneOf ?? []).map(compileValueSchema),
    not: props.not === undefined ? undefined : compileValueSchema(props.not),
  };
}

function typesOf(props: JSONSchemaProps): readonly string[] {
  if (props['x-kubernetes-int-or-string'] === true) return ['integer', 'string'];
  return props.type ? [props.type] : [];
}

const NUMBER_FORMATS: Readonly<Record<string, readonly string[]>> = {
  integer: ['int32', 'int64'],
  number: ['float', 'double'],
};

/** Formats that the schema's type does not have say nothing. */
function knownFormat(format: string, types: readonly string[]): string {
  const type = types.length === 1 ? (types[0] as string) : '';
  const known =
    type === '' || type === 'string'
      ? stringFormat(format) !== undefined
      : (NUMBER_FORMATS[type]?.includes(format) ?? false);
  return known ? format : '';
}

/** The format if the schema's type does not know it, so that it says nothing; undefined where it is known or empty. */
export function unrecognizedFormat(props: JSONSchemaProps): string | undefined {
  const { format } = props;
  return format && knownFormat(format, typesOf(props)) === '' ? format : undefined;
}

function numberRules(
  { minimum, maximum, multipleOf, exclusiveMinimum = false, exclusiveMaximum = false }: JSONSchemaProps,
  types: readonly string[],
  format: string,
): NumberRules | undefined {
  const bounded = minimum !== undefined || maximum !== undefined || multipleOf !== undefined;
  if (!bounded && format === '' && !types.includes('integer')) return undefined;
  return { minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf };
}

function compilePattern(source: string): Pattern {
  let compiled: Re2 | string | undefined;
  const compile = (): Re2 | string => {
    try {
      return compileRe2(source);
    } catch (error) {
      if (error instanceof Re2Error) return error.message;
      throw error;
    }
  };
  return { source, regexp: () => (compiled ??= compile()) };
}
