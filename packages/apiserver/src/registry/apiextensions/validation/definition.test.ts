import type { apiextensionsv1 } from '@k8ts/api';
import { fieldErrorText } from '@k8ts/apimachinery';
import { describe, expect, test } from 'vitest';
import {
  customResourceDefinitionWarnings,
  validateCustomResourceDefinition,
  validateCustomResourceDefinitionStatus,
  type DefinitionValidationOptions,
} from './definition.ts';
import type { CompiledRule } from './rules.ts';

type Definition = apiextensionsv1.CustomResourceDefinition;
type Spec = apiextensionsv1.CustomResourceDefinitionSpec;
type Version = apiextensionsv1.CustomResourceDefinitionVersion;
type Props = apiextensionsv1.JSONSchemaProps;

const OPEN = 'x-kubernetes-preserve-unknown-fields';
const EMBEDDED = 'x-kubernetes-embedded-resource';
const LIST_TYPE = 'x-kubernetes-list-type';
const LIST_KEYS = 'x-kubernetes-list-map-keys';
const MAP_TYPE = 'x-kubernetes-map-type';
const RULES = 'x-kubernetes-validations';

const string: Props = { type: 'string' };
const integer: Props = { type: 'integer' };
const object = (properties: Record<string, Props>, more: Props = {}): Props => ({
  type: 'object',
  properties,
  ...more,
});

const NAMES = { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' };

function version(name: string, more: Partial<Version> = {}): Version {
  return { name, served: true, storage: false, schema: { openAPIV3Schema: { type: 'object' } }, ...more };
}

function definition(spec: Partial<Spec> = {}, more: Partial<Definition> = {}): Definition {
  const stored = (spec.versions ?? [version('v1', { storage: true })]).filter(({ storage }) => storage);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      names: NAMES,
      scope: 'Namespaced',
      versions: [version('v1', { storage: true })],
      conversion: { strategy: 'None' },
      ...spec,
    },
    status: { storedVersions: stored.length > 0 ? stored.map(({ name }) => name) : ['v1'] },
    ...more,
  };
}

function withSchema(openAPIV3Schema: Props, more: Partial<Version> = {}): Definition {
  return definition({ versions: [version('v1', { storage: true, schema: { openAPIV3Schema }, ...more })] });
}

function check(crd: Definition, options?: DefinitionValidationOptions): string[] {
  return validateCustomResourceDefinition(crd, options).map(fieldErrorText);
}

/** Errors of the field `x` of objects, below `spec.validation.openAPIV3Schema.properties[x]`. */
function checkField(props: Props): string[] {
  return check(withSchema(object({ x: props }))).map((text) =>
    text.replaceAll('spec.validation.openAPIV3Schema.properties[x]', '@'),
  );
}

const LABEL =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

describe('names and versions', () => {
  test.each<[string, Partial<Spec>, string[]]>([
    ['good', {}, []],
    [
      'another name',
      { group: 'example.org' },
      ['metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group'],
    ],
    [
      'no group',
      { group: '' },
      [expect.stringContaining('metadata.name') as string, 'spec.group: Required value'],
    ],
    [
      'a group without a dot',
      { group: 'example' },
      [
        expect.stringContaining('metadata.name') as string,
        'spec.group: Invalid value: "example": should be a domain with at least one dot',
      ],
    ],
    [
      'a scope there is not',
      { scope: 'Galaxy' },
      ['spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"'],
    ],
    [
      'names missing',
      { names: { plural: 'widgets', kind: '' } },
      [
        'spec.names.singular: Required value',
        'spec.names.kind: Required value',
        'spec.names.listKind: Required value',
      ],
    ],
    [
      'wrong names',
      { names: { ...NAMES, kind: 'Wid_get', shortNames: ['W'], categories: ['all', '1'] } },
      [
        `spec.names.kind: Invalid value: "Wid_get": may have mixed case, but should otherwise match: ${LABEL}`,
        `spec.names.shortNames[0]: Invalid value: "W": ${LABEL}`,
        `spec.names.categories[1]: Invalid value: "1": ${LABEL}`,
      ],
    ],
    [
      'the list is the thing',
      { names: { ...NAMES, listKind: 'Widget' } },
      ['spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same'],
    ],
    [
      'two storage versions',
      { versions: [version('v1', { storage: true }), version('v2', { storage: true, deprecated: true })] },
      [
        'spec.versions: Invalid value: [{"Name":"v1","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null},{"Name":"v2","Served":true,"Storage":true,"Deprecated":true,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]: must have exactly one version marked as storage version',
      ],
    ],
    [
      'a version twice, none stored',
      { versions: [version('v1'), version('v1')] },
      [
        expect.stringMatching(
          /^spec\.versions: Invalid value: .*: must contain unique version names$/,
        ) as string,
        expect.stringMatching(/: must have exactly one version marked as storage version$/) as string,
      ],
    ],
    [
      'a wrong version',
      { versions: [version('V1', { storage: true })] },
      [`spec.versions[0].name: Invalid value: "V1": ${LABEL}`, `spec.version: Invalid value: "V1": ${LABEL}`],
    ],
    [
      'no schema',
      { versions: [{ name: 'v1', served: true, storage: true }] },
      ['spec.versions[0].schema.openAPIV3Schema: Required value'],
    ],
    [
      'deprecation',
      {
        versions: [
          version('v1', { storage: true, deprecationWarning: 'old' }),
          version('v2', { deprecated: true, deprecationWarning: 'a\u0007' }),
        ],
      },
      [
        'spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions',
        'spec.versions[1].deprecationWarning: Invalid value: "a\\a": must only contain printable UTF-8 characters; non-printable character found at index 1',
      ],
    ],
    [
      'unknown fields preserved',
      { preserveUnknownFields: true },
      [
        'spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ],
    ],
  ])('%s', (_name, spec, expected) => {
    expect(check(definition(spec))).toEqual(expected);
  });

  test('what versions do not share is named where it stands', () => {
    const versions = [
      version('v1', { storage: true, schema: { openAPIV3Schema: object({ a: {} }) } }),
      version('v2', { schema: { openAPIV3Schema: object({ b: {} }) } }),
    ];
    const missing = 'Required value: must not be empty for specified object fields';
    expect(check(definition({ versions }))).toEqual([
      `spec.versions[0].schema.openAPIV3Schema.properties[a].type: ${missing}`,
      `spec.versions[1].schema.openAPIV3Schema.properties[b].type: ${missing}`,
    ]);
  });

  test('stored versions', () => {
    const stored = (storedVersions?: string[]): string[] =>
      check(definition({}, { status: storedVersions === undefined ? {} : { storedVersions } }));
    expect(stored(['v1'])).toEqual([]);
    expect(stored()).toEqual([
      'status.storedVersions: Invalid value: null: must have at least one stored version',
    ]);
    expect(stored(['v0'])).toEqual([
      'status.storedVersions: Invalid value: ["v0"]: must have the storage version v1',
      'status.storedVersions[0]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions',
    ]);
  });

  test('groups of the community need an approval', () => {
    const annotated = (value?: string): string[] =>
      check(
        definition(
          { group: 'x.k8s.io' },
          {
            metadata: {
              name: 'widgets.x.k8s.io',
              annotations: value === undefined ? {} : { 'api-approved.kubernetes.io': value },
            },
          },
        ),
      );
    expect(annotated('https://github.com/kubernetes/kubernetes/pull/1')).toEqual([]);
    expect(annotated('unapproved, experimental')).toEqual([]);
    expect(annotated()).toEqual([
      'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
    ]);
    expect(annotated('yes')).toEqual([
      'metadata.annotations[api-approved.kubernetes.io]: Invalid value: "yes": protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111',
    ]);
  });
});

describe('structural schemas', () => {
  test.each<[string, Props, string[]]>([
    ['no type', {}, ['@.type: Required value: must not be empty for specified object fields']],
    ['no type, but open', { [OPEN]: true }, []],
    ['integer or string', { 'x-kubernetes-int-or-string': true }, []],
    [
      'integer or string, said again',
      { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
      [],
    ],
    [
      'integer or string, said again inside',
      { 'x-kubernetes-int-or-string': true, allOf: [{ anyOf: [{ type: 'integer' }, { type: 'string' }] }] },
      [],
    ],
    [
      'types in alternatives',
      { type: 'string', anyOf: [{ type: 'string' }] },
      ['@.anyOf[0].type: Forbidden: must be empty to be structural'],
    ],
    [
      'more than values in alternatives',
      { type: 'string', not: { description: 'x', nullable: true, default: '', title: 'x', [OPEN]: true } },
      [
        '@.not.default: Forbidden: must be undefined to be structural',
        '@.not.description: Forbidden: must be empty to be structural',
        '@.not.nullable: Forbidden: must be false to be structural',
        '@.not.title: Forbidden: must be empty to be structural',
        '@.not.x-kubernetes-preserve-unknown-fields: Forbidden: must be false to be structural',
      ],
    ],
    [
      'further extensions in alternatives',
      {
        type: 'object',
        allOf: [
          {
            additionalProperties: {},
            [LIST_TYPE]: 'set',
            [LIST_KEYS]: ['a'],
            [MAP_TYPE]: 'atomic',
            [EMBEDDED]: true,
            properties: { metadata: {} },
            [RULES]: [{ rule: 'true' }],
          },
        ],
      },
      [
        '@.allOf[0].additionalProperties: Forbidden: must be undefined to be structural',
        '@.allOf[0].properties[metadata]: Forbidden: must not be specified in a nested context',
        '@.allOf[0].x-kubernetes-embedded-resource: Forbidden: must be false to be structural',
        '@.allOf[0].x-kubernetes-list-map-keys: Forbidden: must be empty to be structural',
        '@.allOf[0].x-kubernetes-list-type: Forbidden: must be undefined to be structural',
        '@.allOf[0].x-kubernetes-map-type: Forbidden: must be undefined to be structural',
        '@.allOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural',
        '@.allOf[0].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive',
        '@.allOf[0].type: Required value: must be object if x-kubernetes-map-type is specified',
        '@.allOf[0].type: Required value: must be array if x-kubernetes-list-type is specified',
        '@.allOf[0].x-kubernetes-list-type: Invalid value: "set": must be map if x-kubernetes-list-map-keys is non-empty',
      ],
    ],
    ['an array without items', { type: 'array' }, ['@.items: Required value: must be specified']],
    [
      'items without a type',
      { type: 'array', items: {} },
      ['@.items.type: Required value: must not be empty for specified array items'],
    ],
    [
      'a pattern that is none',
      { type: 'string', pattern: 'a(' },
      [
        '@.pattern: Invalid value: "a(": must be a valid regular expression, but isn\'t: error parsing regexp: missing closing ): `a(`',
      ],
    ],
    [
      'a pattern with look-ahead',
      { type: 'string', pattern: 'a(?=b)' },
      [
        '@.pattern: Invalid value: "a(?=b)": must be a valid regular expression, but isn\'t: error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
      ],
    ],
    [
      'an embedded resource with no say',
      { type: 'object', [EMBEDDED]: true },
      [
        '@.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ],
    ],
    [
      'an embedded string',
      { type: 'string', [EMBEDDED]: true, [OPEN]: true, additionalProperties: true },
      [
        '@.additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set',
        '@.type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true',
      ],
    ],
    [
      'embedded envelope',
      object({ kind: integer, apiVersion: string, metadata: string }, { [EMBEDDED]: true }),
      [
        '@.properties[kind].type: Invalid value: "integer": must be string',
        '@.properties[metadata].type: Invalid value: "string": must be object',
      ],
    ],
    [
      'integer or string, and what cannot be both',
      { 'x-kubernetes-int-or-string': true, [OPEN]: true },
      [
        '@.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true',
      ],
    ],
  ])('%s', (_name, props, expected) => {
    expect(checkField(props)).toEqual(expected);
  });

  test.each<[string, Props, string[]]>([
    ['no type', {}, ['#.type: Required value: must not be empty at the root']],
    ['a string', { type: 'string' }, ['#.type: Invalid value: "string": must be object at the root']],
    [
      'a map',
      { type: 'object', additionalProperties: string },
      ['#.additionalProperties: Forbidden: must not be used at the root'],
    ],
    [
      'nullable',
      { type: 'object', nullable: true },
      ['#.nullable: Forbidden: nullable cannot be true at the root'],
    ],
    ['names of metadata', object({ metadata: object({ name: { type: 'string', maxLength: 5 } }) }), []],
    [
      'more of metadata',
      object({ metadata: object({ labels: { type: 'object' } }) }),
      [
        '#.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified',
      ],
    ],
    [
      'fields that only alternatives know',
      object(
        { a: object({ b: string }) },
        { anyOf: [{ properties: { a: { properties: { c: {} } }, d: {} } }] },
      ),
      [
        '#.properties[a].properties[c]: Required value: because it is defined in #.anyOf[0].properties[a].properties[c]',
        '#.properties[d]: Required value: because it is defined in #.anyOf[0].properties[d]',
      ],
    ],
    [
      '$schema',
      { type: 'object', $schema: 'http://json-schema.org' },
      [`#: Invalid value: "": OpenAPIV3Schema 'schema' is not supported`],
    ],
  ])('the root: %s', (_name, props, expected) => {
    const texts = check(withSchema(props)).map((text) =>
      text.replaceAll('spec.validation.openAPIV3Schema', '#'),
    );
    expect(texts).toEqual(expected);
  });
});

describe('what schemas may say', () => {
  const keyed = (items: Props, keys: readonly string[] = ['a']): Props => ({
    type: 'array',
    items,
    [LIST_TYPE]: 'map',
    [LIST_KEYS]: keys,
  });
  test.each<[string, Props, string[]]>([
    [
      'a type there is not',
      { type: 'int' },
      [
        '@.type: Unsupported value: "int": supported values: "array", "boolean", "integer", "number", "object", "string"',
      ],
    ],
    [
      'null',
      { type: 'null' },
      [
        '@.type: Unsupported value: "null": supported values: "array", "boolean", "integer", "number", "object", "string"',
        '@.type: Forbidden: type cannot be set to null, use nullable as an alternative',
      ],
    ],
    [
      'keywords of JSON schema',
      {
        ...string,
        id: 'x',
        $ref: '#/y',
        patternProperties: { a: {} },
        definitions: { b: string },
        dependencies: { c: ['d'] },
        additionalItems: true,
      },
      [
        '@.id: Forbidden: id is not supported',
        '@.additionalItems: Forbidden: additionalItems is not supported',
        '@.patternProperties: Forbidden: patternProperties is not supported',
        '@.definitions: Forbidden: definitions is not supported',
        '@.dependencies: Forbidden: dependencies is not supported',
        '@.$ref: Forbidden: $ref is not supported',
      ],
    ],
    [
      'unique items',
      { type: 'array', items: string, uniqueItems: true },
      [
        '@.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ],
    ],
    [
      'a list of schemas',
      { type: 'array', items: [string] },
      ['@.items: Forbidden: items must be a schema object and not an array'],
    ],
    [
      'properties, and others',
      object({ a: string }, { additionalProperties: string }),
      ['@.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive'],
    ],
    ['properties, and any others', object({ a: string }, { additionalProperties: true }), []],
    [
      'unknown fields not preserved',
      object({ a: string }, { [OPEN]: false }),
      ['@.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined'],
    ],
    [
      'a map type of what is no map',
      { type: 'string', [MAP_TYPE]: 'some' },
      [
        '@.type: Invalid value: "string": must be object if x-kubernetes-map-type is specified',
        '@.x-kubernetes-map-type: Unsupported value: "some": supported values: "atomic", "granular"',
      ],
    ],
    [
      'a list type of what is no list',
      { type: 'object', [LIST_TYPE]: 'bag' },
      [
        '@.type: Invalid value: "object": must be array if x-kubernetes-list-type is specified',
        '@.x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"',
      ],
    ],
    [
      'a set of objects',
      { type: 'array', items: object({ a: string }), [LIST_TYPE]: 'set' },
      [
        '@.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set',
      ],
    ],
    [
      'a set of sets',
      { type: 'array', items: { type: 'array', items: string, [LIST_TYPE]: 'set' }, [LIST_TYPE]: 'set' },
      [
        '@.items.x-kubernetes-list-type: Invalid value: "set": must be atomic as item of a list with x-kubernetes-list-type=set',
      ],
    ],
    [
      'a set of what may be null',
      { type: 'array', items: { type: 'string', nullable: true }, [LIST_TYPE]: 'set' },
      ['@.items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set'],
    ],
    ['a map by a required key', keyed(object({ a: string }, { required: ['a'] })), []],
    ['a map by a key with a default', keyed(object({ a: { type: 'string', default: 'x' } })), []],
    [
      'a map without keys',
      { type: 'array', items: object({ a: string }), [LIST_TYPE]: 'map' },
      ['@.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map'],
    ],
    [
      'keys without a map',
      { type: 'array', items: object({ a: string }), [LIST_KEYS]: ['a'] },
      ['@.x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty'],
    ],
    [
      'a map of scalars',
      keyed(string),
      [
        `@.items.type: Invalid value: "string": must be object if parent array's x-kubernetes-list-type is map`,
      ],
    ],
    [
      'keys that cannot be keys',
      keyed(
        object(
          { a: { type: 'array', items: string }, b: { type: 'string', nullable: true } },
          { required: ['a'] },
        ),
        ['a', 'b', 'c', 'a'],
      ),
      [
        `@.items.properties[a].type: Invalid value: "object": must be a scalar type if parent array's x-kubernetes-list-type is map`,
        '@.x-kubernetes-list-map-keys: Invalid value: ["a","b","c","a"]: entries must all be names of item properties',
        `@.items.properties[a].type: Invalid value: "object": must be a scalar type if parent array's x-kubernetes-list-type is map`,
        '@.x-kubernetes-list-map-keys: Invalid value: ["a","b","c","a"]: must not contain duplicate entries',
        '@.items.properties[b].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        '@.items.properties[b].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable',
      ],
    ],
    [
      'an object in the metadata of an object',
      object(
        { metadata: object({ a: { type: 'object', [EMBEDDED]: true, [OPEN]: true } }) },
        { [EMBEDDED]: true },
      ),
      [
        '@.properties[metadata].properties[a].x-kubernetes-embedded-resource: Forbidden: must not be used inside of resource meta',
      ],
    ],
  ])('%s', (_name, props, expected) => {
    expect(checkField(props)).toEqual(expected);
  });
});

describe('defaults', () => {
  const embedded = (properties: Record<string, Props>): Props =>
    object(properties, { [EMBEDDED]: true, [OPEN]: true });
  test.each<[string, Props, string[]]>([
    ['good', object({ a: { type: 'integer', default: 1 } }, { default: {} }), []],
    [
      'of another type',
      { type: 'integer', default: 'a' },
      ['@.default: Invalid value: "string":  in body must be of type integer: "string"'],
    ],
    [
      'of parts that do not fit',
      object({ a: { type: 'integer', maximum: 1 } }, { default: { a: 2 } }),
      ['@.default.a: Invalid value: 2: a in body should be less than or equal to 1'],
    ],
    [
      'with unknown fields',
      object({ a: object({}) }, { default: { a: { b: 1 } } }),
      ['@.default: Invalid value: {"a":{"b":1}}: must not have unknown fields'],
    ],
    ['with unknown fields, preserved', object({}, { [OPEN]: true, default: { b: 1 } }), []],
    [
      'an embedded object without a kind',
      { type: 'object', [EMBEDDED]: true, [OPEN]: true, default: { apiVersion: 'v1' } },
      ['@.default.kind: Required value'],
    ],
    ['in metadata', embedded({ metadata: object({ name: { type: 'string', default: 'x' } }) }), []],
    [
      'in metadata, but not of it',
      embedded({ metadata: object({ name: { type: 'string', default: 'a/b' } }) }),
      [
        `@.properties[metadata].properties[name].default: Invalid value: "a/b": must result in valid metadata: metadata.name: Invalid value: "a/b": may not contain '/'`,
      ],
    ],
    ['kind and apiVersion', embedded({ kind: { type: 'string', default: 'Pod' } }), []],
    [
      'a kind that is none',
      embedded({ kind: { type: 'string', default: '%' } }),
      [
        expect.stringMatching(
          /^@\.properties\[kind\]\.default: Invalid value: "%": must result in valid metadata: kind: Invalid value: "%": may have mixed case/,
        ) as string,
      ],
    ],
    [
      'below additionalProperties',
      { type: 'object', additionalProperties: { type: 'integer', default: 'a' } },
      [],
    ],
  ])('%s', (_name, props, expected) => {
    expect(checkField(props)).toEqual(expected);
  });

  test('there are none in the metadata of the object itself', () => {
    const props = object({
      metadata: object({ name: { type: 'string', default: 'x' } }),
      kind: { type: 'string', default: 'Widget' },
    });
    expect(check(withSchema(props))).toEqual([
      'spec.validation.openAPIV3Schema.properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata',
      'spec.validation.openAPIV3Schema.properties[kind].default: Forbidden: must not be set in top-level kind',
    ]);
  });

  test('rules are asked when the value fits', () => {
    const asked: unknown[] = [];
    const crd = withSchema(
      object({ a: { type: 'integer', default: 1 }, b: { type: 'integer', default: '' } }),
    );
    check(crd, {
      checkDefault: (_schema, value, path, isResource) => {
        asked.push(value, path, isResource);
        return [];
      },
    });
    expect(asked).toEqual([1, 'spec.validation.openAPIV3Schema.properties[a].default', false]);
  });
});

describe('rules', () => {
  test.each<[apiextensionsv1.ValidationRule, string[]]>([
    [{ rule: 'self.a > 1', message: 'no', reason: 'FieldValueForbidden', fieldPath: '.a' }, []],
    [{ rule: ' ' }, ['rule: Required value: rule is not specified']],
    [{ rule: 'true', message: ' ' }, ['message: Invalid value: " ": must be non-empty if specified']],
    [{ rule: 'true', message: 'a\nb' }, ['message: Invalid value: "a\\nb": must not contain line breaks']],
    [
      { rule: 'true ||\nfalse' },
      ['message: Required value: message must be specified if rule contains line breaks'],
    ],
    [
      { rule: 'true', messageExpression: ' ' },
      ['messageExpression: Required value: messageExpression must be non-empty if specified'],
    ],
    [
      { rule: 'true', reason: 'Whim' as never },
      [
        'reason: Unsupported value: "Whim": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"',
      ],
    ],
    [{ rule: 'true', fieldPath: '.b' }, ['fieldPath: Invalid value: ".b": must be a valid path']],
    [{ rule: 'true', fieldPath: 'a' }, ['fieldPath: Invalid value: "a": must be a valid path']],
    [{ rule: 'true', fieldPath: ".m['x.y'].z" }, []],
    [{ rule: 'true', fieldPath: ".m['x" }, ['fieldPath: Invalid value: ".m[\'x": must be a valid path']],
    [
      { rule: 'true', fieldPath: '.a\n' },
      [
        'fieldPath: Invalid value: ".a\\n": must not contain line breaks',
        'fieldPath: Invalid value: ".a\\n": must be a valid path',
      ],
    ],
  ])('%j', (rule, expected) => {
    const props = object(
      { a: integer, m: { type: 'object', additionalProperties: object({ z: string }) } },
      { [RULES]: [rule] },
    );
    expect(checkField(props)).toEqual(expected.map((text) => `@.x-kubernetes-validations[0].${text}`));
  });

  const plain: CompiledRule = { cost: 1, cardinality: 1, usesOldSelf: false };
  const list = (more: Props): Props => ({
    type: 'array',
    items: { type: 'string', [RULES]: [{ rule: 'self != ""' }] },
    ...more,
  });
  function compiled(props: Props, result: Partial<CompiledRule>, old?: Definition): string[] {
    const crd = withSchema(object({ x: props }));
    return check(crd, {
      old,
      compileRules: ({ schema }) => (schema[RULES] ?? []).map(() => ({ ...plain, ...result })),
    }).map((text) => text.replaceAll('spec.validation.openAPIV3Schema.properties[x]', '@'));
  }

  test('errors and costs', () => {
    const budget =
      '(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)';
    const at = '@.items.x-kubernetes-validations[0]';
    expect(compiled(list({}), {})).toEqual([]);
    expect(compiled(list({}), { error: { detail: 'compilation failed' } })).toEqual([
      `${at}.rule: Invalid value: {"Rule":"self != \\"\\"","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed`,
    ]);
    expect(compiled(list({ maxItems: 100 }), { cost: 99_999 })).toEqual([]);
    expect(compiled(list({ maxItems: 100 }), { cost: 120_000 })).toEqual([
      `${at}.rule: Forbidden: estimated rule cost exceeds budget by factor of 1.200000x ${budget}`,
    ]);
    expect(compiled(list({}), { cost: 100, cardinality: 1e9 })).toEqual([
      `${at}.rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x ${budget}`,
      `${at}.rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema`,
      `spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${budget}`,
    ]);
    // What was let through before may cost that much.
    const old = withSchema(object({ x: list({ maxItems: 100 }) }));
    expect(compiled(list({ maxItems: 100 }), { cost: 120_000 }, old)).toEqual([]);
  });

  test('old values where there are none', () => {
    const at = '@.items.x-kubernetes-validations[0]';
    expect(compiled(list({}), { usesOldSelf: true })).toEqual([
      `${at}.rule: Invalid value: "self != \\"\\"": oldSelf cannot be used on the uncorrelatable portion of the schema within @`,
    ]);
    expect(compiled({ type: 'string', [RULES]: [{ rule: 'x' }] }, { usesOldSelf: true })).toEqual([]);
    expect(
      compiled({ type: 'string', [RULES]: [{ rule: 'x', optionalOldSelf: true }] }, { usesOldSelf: false }),
    ).toEqual([
      '@.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule',
    ]);
  });

  test('are not compiled where the schema is wrong', () => {
    const props = object({ a: {} }, { [RULES]: [{ rule: 'x' }] });
    expect(compiled(props, { error: { detail: 'compiled' } })).toEqual([
      '@.properties[a].type: Required value: must not be empty for specified object fields',
    ]);
  });
});

describe('subresources, columns, selectable fields', () => {
  const status = { subresources: { status: {} } };
  test.each<[string, Partial<Version>, string[]]>([
    [
      'scale',
      {
        subresources: {
          scale: {
            specReplicasPath: '.spec.n',
            statusReplicasPath: '.status.n',
            labelSelectorPath: '.status.s',
          },
        },
      },
      [],
    ],
    [
      'scale, wrong',
      {
        subresources: {
          scale: { specReplicasPath: 'spec.n', statusReplicasPath: '.spec.n', labelSelectorPath: '.s' },
        },
      },
      [
        'spec.subresources.scale.specReplicasPath: Invalid value: "spec.n": must be a simple json path starting with .',
        'spec.subresources.scale.statusReplicasPath: Invalid value: ".spec.n": should be a json path under .status',
        'spec.subresources.scale.labelSelectorPath: Invalid value: ".s": should be a json path under either .spec or .status',
      ],
    ],
    [
      'scale, without paths',
      { subresources: { scale: { specReplicasPath: '', statusReplicasPath: '' } } },
      [
        'spec.subresources.scale.specReplicasPath: Required value',
        'spec.subresources.scale.statusReplicasPath: Required value',
      ],
    ],
    [
      'columns',
      { additionalPrinterColumns: [{ name: 'A', type: 'date', jsonPath: '.a', format: 'date-time' }] },
      [],
    ],
    [
      'columns, wrong',
      {
        additionalPrinterColumns: [
          { name: '', type: '', jsonPath: '' },
          { name: 'A', type: 'int', jsonPath: 'a', format: 'x' },
        ],
      },
      [
        'spec.additionalPrinterColumns[0].name: Required value',
        'spec.additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string',
        'spec.additionalPrinterColumns[0].JSONPath: Required value',
        'spec.additionalPrinterColumns[1].type: Invalid value: "int": must be one of boolean,date,integer,number,string',
        'spec.additionalPrinterColumns[1].format: Invalid value: "x": must be one of byte,date,date-time,double,float,int32,int64,password',
        'spec.additionalPrinterColumns[1].JSONPath: Invalid value: "a": must be a simple json path starting with .',
      ],
    ],
    [
      'selectable fields',
      {
        schema: {
          openAPIV3Schema: object({
            spec: object({ a: string, o: { type: 'object' } }),
            metadata: object({ name: string }),
          }),
        },
        selectableFields: [
          '.spec.a',
          '.spec.o',
          '.spec.b',
          ".spec['a']",
          '.metadata.name',
          '.spec.a',
          'spec',
          '',
        ].map((jsonPath) => ({ jsonPath })),
      },
      [
        'spec.selectableFields[1].jsonPath: Invalid value: ".spec.o": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        'spec.selectableFields[2].jsonPath: Invalid value: ".spec.b": is an invalid path: does not refer to a valid field',
        'spec.selectableFields[3].jsonPath: Invalid value: ".spec[\'a\']": is an invalid path: array notation is not allowed',
        'spec.selectableFields[4].jsonPath: Invalid value: ".metadata.name": must not point to fields in metadata',
        'spec.selectableFields[5].jsonPath: Duplicate value: ".spec.a"',
        'spec.selectableFields[6].jsonPath: Invalid value: "spec": is an invalid path: expected [ or . but got: spec',
        'spec.selectableFields[7].jsonPath: Required value',
      ],
    ],
    [
      'status, and a root that may be',
      { ...status, schema: { openAPIV3Schema: object({}, { description: 'x', required: ['spec'] }) } },
      [],
    ],
    [
      'status, and a root that says more',
      { ...status, schema: { openAPIV3Schema: { type: 'object', maxProperties: 3 } } },
      [
        expect.stringMatching(
          /^spec\.validation\.openAPIV3Schema: Invalid value: \{"ID":"","Schema":"","Ref":null,.*"MaxProperties":3,.*\}: only \[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations\] fields are allowed at the root of the schema if the status subresource is enabled$/,
        ) as string,
      ],
    ],
  ])('%s', (_name, more, expected) => {
    expect(check(definition({ versions: [version('v1', { storage: true, ...more })] }))).toEqual(expected);
  });

  test('eight selectable fields are enough, unless there were more', () => {
    const names = Array.from({ length: 9 }, (_, i) => `f${i}`);
    const many = withSchema(object(Object.fromEntries(names.map((name) => [name, string]))), {
      selectableFields: names.map((name) => ({ jsonPath: `.${name}` })),
    });
    expect(check(many)).toEqual(['spec.selectableFields: Too many: 9: must have at most 8 items']);
    expect(check(many, { old: many })).toEqual([]);
    expect(check(many, { old: definition() })).toHaveLength(1);
  });
});

describe('conversion', () => {
  const service = { namespace: 'ns', name: 'hook', port: 443 };
  const webhook = (clientConfig: apiextensionsv1.WebhookClientConfig, versions = ['v1']): Partial<Spec> => ({
    conversion: { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: versions } },
  });
  test.each<[string, Partial<Spec>, string[]]>([
    ['by a service', webhook({ service: { ...service, path: '/convert' } }), []],
    ['by a URL', webhook({ url: 'https://example.com:8443/convert' }), []],
    [
      'a strategy there is not',
      { conversion: { strategy: 'Magic' } },
      ['spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook"'],
    ],
    [
      'no webhook',
      { conversion: { strategy: 'Webhook' } },
      [
        'spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook',
        'spec.conversion.conversionReviewVersions: Required value',
      ],
    ],
    [
      'a webhook for nothing',
      {
        conversion: {
          strategy: 'None',
          webhook: { clientConfig: { service }, conversionReviewVersions: ['v1'] },
        },
      },
      [
        'spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook',
        'spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook',
      ],
    ],
    [
      'a service and a URL',
      webhook({ service, url: 'https://example.com' }),
      ['spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required'],
    ],
    [
      'a wrong URL',
      webhook({ url: 'http://me@example.com/?a=b#c' }),
      [
        `spec.conversion.webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
        'spec.conversion.webhookClientConfig.url: Invalid value: "me": user information is not permitted in the URL',
        'spec.conversion.webhookClientConfig.url: Invalid value: "c": fragments are not permitted in the URL',
        'spec.conversion.webhookClientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL',
      ],
    ],
    [
      'no URL at all',
      webhook({ url: 'https://example.com:port' }),
      [
        'spec.conversion.webhookClientConfig.url: Required value: url must be a valid URL: parse "https://example.com:port": invalid port ":port" after host; desired format: https://host[/path]',
      ],
    ],
    [
      'a wrong service',
      webhook({ service: { namespace: '', name: 'a', port: 0, path: 'x//y' } }),
      [
        'spec.conversion.webhookClientConfig.service.name: Required value',
        'spec.conversion.webhookClientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive',
        `spec.conversion.webhookClientConfig.service.path: Invalid value: "x//y": must start with a '/'`,
        'spec.conversion.webhookClientConfig.service.path: Invalid value: "x//y": segment[0] may not be empty',
        'spec.conversion.webhookClientConfig.service.path: Invalid value: "x//y": segment[1] may not be empty',
      ],
    ],
    [
      'review versions',
      webhook({ service }, ['v2', 'v2', 'V']),
      [
        'spec.conversion.conversionReviewVersions[1]: Invalid value: "v2": duplicate version',
        `spec.conversion.conversionReviewVersions[2]: Invalid value: "V": ${LABEL}`,
        'spec.conversion.conversionReviewVersions: Invalid value: ["v2","v2","V"]: must include at least one of v1, v1beta1',
      ],
    ],
  ])('%s', (_name, spec, expected) => {
    expect(check(definition(spec))).toEqual(expected);
  });

  test('certificates, once the definition is established', () => {
    const caBundle = Buffer.from('no certificate').toString('base64');
    const crd = definition(webhook({ service, caBundle }));
    const established = (old: Definition): Definition => ({
      ...old,
      status: { storedVersions: ['v1'], conditions: [{ type: 'Established', status: 'True' }] },
    });
    expect(check(crd)).toEqual([]);
    expect(check(crd, { old: definition() })).toEqual([]);
    expect(check(crd, { old: established(crd) })).toEqual([]);
    expect(check(crd, { old: established(definition()) })).toEqual([
      `spec.conversion.webhookClientConfig.caBundle: Invalid value: "${caBundle}": unable to load root certificates: unable to parse bytes as PEM block`,
    ]);
  });
});

describe('updates', () => {
  const established = definition(
    {},
    { status: { storedVersions: ['v1'], conditions: [{ type: 'Established', status: 'True' }] } },
  );

  test('what may not change', () => {
    const next = definition({
      group: 'example.org',
      scope: 'Cluster',
      names: { ...NAMES, plural: 'gadgets', kind: 'Gadget' },
    });
    const fixed = [
      'spec.group: Invalid value: "example.org": field is immutable',
      'spec.names.plural: Invalid value: "gadgets": field is immutable',
    ];
    expect(check(next, { old: definition() })).toEqual(fixed);
    expect(check(next, { old: established })).toEqual([
      'spec.scope: Invalid value: "Cluster": field is immutable',
      'spec.names.kind: Invalid value: "Gadget": field is immutable',
      ...fixed,
    ]);
  });

  test.each<[string, Props]>([
    ['a set of objects', { type: 'array', items: object({ a: string }), [LIST_TYPE]: 'set' }],
    [
      'keys that may be absent',
      { type: 'array', items: object({ a: string }), [LIST_TYPE]: 'map', [LIST_KEYS]: ['a'] },
    ],
    ['defaults with unknown fields', object({}, { default: { a: 1 } })],
    ['types there are not', { type: 'int' }],
  ])('may go on with %s', (_name, props) => {
    const crd = withSchema(object({ x: props }));
    expect(check(crd)).not.toEqual([]);
    expect(check(crd, { old: crd })).toEqual([]);
    expect(check(crd, { old: established })).not.toEqual([]);
  });

  test('the status', () => {
    const crd = definition({}, { status: { acceptedNames: { plural: 'X', kind: '' } } });
    expect(validateCustomResourceDefinitionStatus(crd).map(fieldErrorText)).toEqual([
      `status.acceptedNames.plural: Invalid value: "X": ${LABEL}`,
    ]);
  });
});

test('formats that say nothing are warned of, when they are new', () => {
  const crd = withSchema(
    object({
      a: { type: 'string', format: 'hex' },
      b: { type: 'string', format: 'date-time' },
      c: { type: 'integer', format: 'int32' },
      d: { type: 'integer', format: 'uint8' },
    }),
  );
  expect(customResourceDefinitionWarnings(crd, undefined)).toEqual([
    'unrecognized format "hex"',
    'unrecognized format "uint8"',
  ]);
  expect(customResourceDefinitionWarnings(crd, crd)).toEqual([]);
});

describe('hostile definitions', () => {
  const many = Array.from({ length: 100_000 }, (_, i) => `f${i}`);
  const nested = (depth: number, wrap: (inner: Props) => Props): Props => {
    let props: Props = { type: 'object' };
    for (let i = 0; i < depth; i++) props = wrap(props);
    return props;
  };
  test.each<[string, Definition]>([
    [
      'fields without a type',
      withSchema(object(Object.fromEntries(many.slice(0, 30_000).map((name) => [name, {}])))),
    ],
    [
      'keys that are no fields',
      withSchema(object({ x: { type: 'array', items: object({}), [LIST_TYPE]: 'map', [LIST_KEYS]: many } })),
    ],
    [
      'rules with paths',
      withSchema(
        object(Object.fromEntries(many.slice(0, 5000).map((name) => [name, string])), {
          [RULES]: many.slice(0, 5000).map(() => ({ rule: 'true', fieldPath: '.nothing' })),
        }),
      ),
    ],
    [
      'versions',
      definition({ versions: many.slice(0, 10_000).map((name) => version(name, { storage: true })) }),
    ],
    [
      'review versions',
      definition({
        conversion: {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'x'.repeat(1e5) }, conversionReviewVersions: [...many, ...many] },
        },
      }),
    ],
    ['depth', withSchema(nested(200, (inner) => object({ a: inner, b: { type: 'integer', default: '' } })))],
    [
      'depth of alternatives',
      withSchema(nested(200, (inner) => ({ type: 'object', allOf: [inner], not: {} }))),
    ],
  ])('%s', (_name, crd) => {
    const start = performance.now();
    expect(validateCustomResourceDefinition(crd).length).toBeLessThanOrEqual(1000);
    validateCustomResourceDefinition(crd, { old: crd });
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
