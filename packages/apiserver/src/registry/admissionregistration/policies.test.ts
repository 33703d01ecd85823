import { describe, expect, test } from 'vitest';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import {
  mutatingAdmissionPolicyBindingStrategy,
  mutatingAdmissionPolicyStrategy,
  validatingAdmissionPolicyBindingStrategy,
  validatingAdmissionPolicyStrategy,
} from './policies.ts';

const RULE = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] };
const policy = (spec: Json = {}): Json => ({
  metadata: { name: 'p' },
  spec: { matchConstraints: { resourceRules: [RULE] }, validations: [{ expression: 'true' }], ...spec },
});
const validation = (fields: Json): Json => policy({ validations: [{ expression: 'true', ...fields }] });
const annotation = (fields: Json): Json =>
  policy({ auditAnnotations: [{ key: 'k', valueExpression: "'x'", ...fields }] });
const UNDECLARED = (name: string, line: string, caret: string): string =>
  `compilation failed: ERROR: <input>:1:${caret.length}: undeclared reference to '${name}' (in container '')\n | ${line}\n | ${caret.replaceAll(/[^^]/g, '.')}`;

describe('validating policies', () => {
  test('defaults', async () => {
    const { object, errors } = await create(validatingAdmissionPolicyStrategy, policy());
    expect(errors).toEqual([]);
    expect(object.spec).toMatchObject({
      failurePolicy: 'Fail',
      matchConstraints: { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} },
    });
  });

  test.each<[string, Json, readonly string[]]>([
    ['no constraints', policy({ matchConstraints: undefined }), ['spec.matchConstraints: Required value']],
    ['no rules', policy({ matchConstraints: {} }), ['spec.matchConstraints.resourceRules: Required value']],
    [
      'wrong constraints',
      policy({
        matchConstraints: {
          matchPolicy: 'No',
          resourceRules: [{ ...RULE, resourceNames: ['a', 'a', 'b/c'], operations: ['GET'] }],
          excludeResourceRules: [{ ...RULE, apiGroups: ['*', ''] }],
        },
      }),
      [
        'spec.matchConstraints.matchPolicy: Unsupported value: "No": supported values: "Equivalent", "Exact"',
        'spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a"',
        'spec.matchConstraints.resourceRules[0].resourceNames[2]: Invalid value: "b/c": may not contain \'/\'',
        'spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "GET": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
        'spec.matchConstraints.excludeResourceRules[0].apiGroups: Invalid value: ["*",""]: if \'*\' is present, must not specify other API groups',
      ],
    ],
    [
      'a failure policy',
      policy({ failurePolicy: 'No' }),
      ['spec.failurePolicy: Unsupported value: "No": supported values: "Fail", "Ignore"'],
    ],
    [
      'nothing to run',
      policy({ validations: [] }),
      ['spec.validations', 'spec.auditAnnotations'].map(
        (path) => `${path}: Required value: validations or auditAnnotations must contain at least one item`,
      ),
    ],
    [
      'no expression',
      validation({ expression: ' ' }),
      ['spec.validations[0].expression: Required value: expression is not specified'],
    ],
    [
      'no bool',
      validation({ expression: '1' }),
      ['spec.validations[0].expression: Invalid value: "1": must evaluate to bool but got int'],
    ],
    [
      'unknown names',
      validation({ expression: 'params.x' }),
      [`spec.validations[0].expression: Invalid value: "params.x": ${UNDECLARED('params', 'params.x', '^')}`],
    ],
    [
      'known params',
      {
        ...policy({
          paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
          validations: [{ expression: 'params.x' + ' == 1' }],
        }),
      },
      [],
    ],
    [
      'a message expression that is no text',
      validation({ messageExpression: '1' }),
      ['spec.validations[0].messageExpression: Invalid value: "1": must evaluate to string but got int'],
    ],
    [
      'an authorizer in a message',
      validation({ messageExpression: 'authorizer' }),
      [
        `spec.validations[0].messageExpression: Invalid value: "authorizer": ${UNDECLARED('authorizer', 'authorizer', '^')}`,
      ],
    ],
    [
      'empty texts',
      validation({ message: ' ', messageExpression: ' ' }),
      [
        'spec.validations[0].messageExpression: Invalid value: " ": must be non-empty if specified',
        'spec.validations[0].message: Invalid value: " ": message must be non-empty if specified',
      ],
    ],
    [
      'lines',
      validation({ message: 'a\nb' }),
      ['spec.validations[0].message: Invalid value: "a\\nb": message must not contain line breaks'],
    ],
    [
      'a reason',
      validation({ reason: 'Because' }),
      [
        'spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
      ],
    ],
    [
      'variables',
      policy({
        variables: [
          { name: '', expression: '' },
          { name: 'for', expression: 'true' },
          { name: 'a', expression: '1 +' + ' true' },
        ],
      }),
      [
        'spec.variables[0].name: Required value: name is not specified',
        'spec.variables[0].expression: Required value: expression is not specified',
        'spec.variables[1].name: Invalid value: "for": name is not a valid CEL identifier',
        `spec.variables[2].expression: Invalid value: "1 + true": compilation failed: ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, bool)'\n | 1 + true\n | ..^`,
      ],
    ],
    [
      'types of variables',
      policy({
        variables: [{ name: 'a', expression: "'x'" }],
        validations: [{ expression: 'variables.a' }],
      }),
      ['spec.validations[0].expression: Invalid value: "variables.a": must evaluate to bool but got string'],
    ],
    [
      'annotations',
      annotation({ valueExpression: '1' }),
      [
        'spec.auditAnnotations[0].valueExpression: Invalid value: "1": must evaluate to one of [string null_type] but got int',
      ],
    ],
    [
      'annotations twice',
      policy({
        auditAnnotations: [
          { key: 'k', valueExpression: 'null' },
          { key: 'k', valueExpression: ' ' },
        ],
      }),
      [
        'spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified',
        'spec.auditAnnotations[1].key: Duplicate value: "k"',
      ],
    ],
    [
      'long annotations',
      annotation({ valueExpression: `'${'x'.repeat(5 * 1024)}'` }),
      ['spec.auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length'],
    ],
    [
      'kinds of parameters',
      policy({ paramKind: { apiVersion: 'a/b/c', kind: '' } }),
      [
        'spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
        'spec.paramKind.kind: Required value',
      ],
    ],
    [
      'a kind of parameters without version',
      policy({ paramKind: { apiVersion: 'a/', kind: 'Kind' } }),
      ['spec.paramKind.apiVersion: Invalid value: "a/": version must be specified'],
    ],
    [
      'conditions see no variables',
      policy({
        variables: [{ name: 'a', expression: 'true' }],
        matchConditions: [{ name: 'c', expression: 'variables.a' }],
      }),
      [
        `spec.matchConditions[0].expression: Invalid value: "variables.a": ${UNDECLARED('variables', 'variables.a', '^')}`,
      ],
    ],
  ])('%s', async (_name, object, errors) => {
    expect((await create(validatingAdmissionPolicyStrategy, object)).errors).toEqual(errors);
  });

  test('conditions that stay are not checked again', async () => {
    const { object } = await create(
      validatingAdmissionPolicyStrategy,
      policy({ matchConditions: [{ name: 'c', expression: 'gone()' }] }),
    );
    expect((await update(validatingAdmissionPolicyStrategy, object, () => undefined)).errors).toEqual([]);
  });
});

describe('bindings', () => {
  const binding = (spec: Json): Json => ({
    metadata: { name: 'b' },
    spec: { policyName: 'p', validationActions: ['Deny'], ...spec },
  });
  test.each<[string, Json, readonly string[]]>([
    ['nothing wrong', binding({}), []],
    ['no policy', binding({ policyName: '' }), ['spec.policyName: Required value']],
    [
      'no actions',
      binding({ validationActions: [] }),
      ['spec.validationActions: Required value: at least one validation action is required'],
    ],
    [
      'actions',
      binding({ validationActions: ['Deny', 'Warn', 'Deny', 'Cry'] }),
      [
        'spec.validationActions[2]: Duplicate value: "Deny"',
        'spec.validationActions[3]: Unsupported value: "Cry": supported values: "Audit", "Deny", "Warn"',
        'spec.validationActions: Invalid value: ["Deny","Warn","Deny","Cry"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ],
    ],
    [
      'no parameters',
      binding({ paramRef: {} }),
      [
        'spec.paramRef: Required value: one of name or selector must be specified',
        'spec.paramRef.parameterNotFoundAction: Required value',
      ],
    ],
    [
      'parameters by name and selector',
      binding({ paramRef: { name: 'a', selector: {}, parameterNotFoundAction: 'Maybe' } }),
      [
        'spec.paramRef.name: Forbidden: name and selector are mutually exclusive',
        'spec.paramRef.selector: Forbidden: name and selector are mutually exclusive',
        'spec.paramRef.parameterNotFoundAction: Unsupported value: "Maybe": supported values: "Deny", "Allow"',
      ],
    ],
    [
      'resources',
      binding({ matchResources: { matchPolicy: 'No' } }),
      ['spec.matchResouces.matchPolicy: Unsupported value: "No": supported values: "Equivalent", "Exact"'],
    ],
  ])('%s', async (_name, object, errors) => {
    expect((await create(validatingAdmissionPolicyBindingStrategy, object)).errors).toEqual(errors);
  });

  test('of mutating policies need no actions', async () => {
    const { errors } = await create(mutatingAdmissionPolicyBindingStrategy, {
      metadata: { name: 'b' },
      spec: { policyName: 'p' },
    });
    expect(errors).toEqual([]);
  });
});

test.each<[string, Json, readonly string[]]>([
  [
    'a type',
    { patchType: 'Merge' },
    [
      'spec.mutations[0].patchType: Unsupported value: "Merge": supported values: "ApplyConfiguration", "JSONPatch"',
    ],
  ],
  ['no type', { patchType: '' }, ['spec.mutations[0].patchType: Required value']],
  [
    'no configuration',
    { patchType: 'ApplyConfiguration' },
    [
      'spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration',
    ],
  ],
  [
    'no expression',
    { patchType: 'JSONPatch', jsonPatch: { expression: '' } },
    ['spec.mutations[0].jsonPatch.expression: Required value: expression is not specified'],
  ],
])('mutations: %s', async (_name, mutation, errors) => {
  const made = await create(mutatingAdmissionPolicyStrategy, {
    metadata: { name: 'p' },
    spec: {
      matchConstraints: { resourceRules: [RULE] },
      reinvocationPolicy: 'Never',
      mutations: [mutation],
    },
  });
  expect(made.errors).toEqual(errors);
});

test.each([{}, { spec: {} }, { spec: { validations: [null], variables: [null], mutations: [null] } }])(
  'what is hardly there is refused: %j',
  async (fields) => {
    for (const strategy of [validatingAdmissionPolicyStrategy, mutatingAdmissionPolicyStrategy])
      expect(
        (
          await create(strategy as typeof validatingAdmissionPolicyStrategy, {
            metadata: { name: 'p' },
            ...fields,
          })
        ).errors,
      ).not.toEqual([]);
  },
);
