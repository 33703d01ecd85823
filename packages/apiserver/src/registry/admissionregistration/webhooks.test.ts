import { describe, expect, test } from 'vitest';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import { mutatingWebhookConfigurationStrategy, validatingWebhookConfigurationStrategy } from './webhooks.ts';

const RULE = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] };
const hook = (further: Json = {}): Json => ({
  name: 'a.example.com',
  clientConfig: { url: 'https://example.com' },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  rules: [RULE],
  ...further,
});
const configuration = (...webhooks: readonly Json[]): Json => ({ metadata: { name: 'c' }, webhooks });
const ruled = (further: Json): Json => hook({ rules: [{ ...RULE, ...further }] });

describe('webhook configurations', () => {
  test.each<[string, readonly Json[], readonly string[]]>([
    ['nothing wrong', [hook()], []],
    ['no name', [hook({ name: '' })], ['webhooks[0].name: Required value']],
    [
      'a short name',
      [hook({ name: 'a.b' })],
      [
        'webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots',
      ],
    ],
    ['a name twice', [hook(), hook()], ['webhooks[1].name: Duplicate value: "a.example.com"']],
    [
      'side effects',
      [hook({ sideEffects: 'Some' })],
      ['webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'],
    ],
    [
      'no side effects told',
      [hook({ sideEffects: undefined })],
      ['webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun'],
    ],
    [
      'no review versions',
      [hook({ admissionReviewVersions: [] })],
      ['webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1'],
    ],
    [
      'unknown review versions',
      [hook({ admissionReviewVersions: ['v2', 'v2'] })],
      [
        'webhooks[0].admissionReviewVersions[1]: Invalid value: "v2": duplicate version',
        'webhooks[0].admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of v1, v1beta1',
      ],
    ],
    [
      'a timeout',
      [hook({ timeoutSeconds: 31 })],
      ['webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds'],
    ],
    [
      'policies',
      [hook({ failurePolicy: 'No', matchPolicy: 'No' })],
      [
        'webhooks[0].failurePolicy: Unsupported value: "No": supported values: "Fail", "Ignore"',
        'webhooks[0].matchPolicy: Unsupported value: "No": supported values: "Equivalent", "Exact"',
      ],
    ],
    [
      'no address',
      [hook({ clientConfig: {} })],
      ['webhooks[0].clientConfig: Required value: exactly one of url or service is required'],
    ],
    [
      'a bad address',
      [hook({ clientConfig: { url: 'http://example.com' } })],
      [
        'webhooks[0].clientConfig.url: Invalid value: "http": \'https\' is the only allowed URL scheme; desired format: https://host[/path]',
      ],
    ],
    [
      'operations',
      [ruled({ operations: ['*', 'GET'] })],
      [
        'webhooks[0].rules[0].operations: Invalid value: ["*","GET"]: if \'*\' is present, must not specify other operations',
        'webhooks[0].rules[0].operations[1]: Unsupported value: "GET": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
      ],
    ],
    [
      'empty lists',
      [ruled({ operations: [], apiGroups: [], apiVersions: [], resources: [] })],
      ['operations', 'apiGroups', 'apiVersions', 'resources'].map(
        (field) => `webhooks[0].rules[0].${field}: Required value`,
      ),
    ],
    [
      'resources',
      [ruled({ resources: ['pods/*', 'pods/log', '*/status', 'nodes/status', '*/*', '*', 'pods'] })],
      [
        'webhooks[0].rules[0].resources[1]: Invalid value: "pods/log": if \'pods/*\' is present, must not specify pods/log',
        'webhooks[0].rules[0].resources[3]: Invalid value: "nodes/status": if \'*/status\' is present, must not specify nodes/status',
        'webhooks[0].rules[0].resources: Invalid value: ["pods/*","pods/log","*/status","nodes/status","*/*","*","pods"]: if \'*/*\' is present, must not specify other resources',
        'webhooks[0].rules[0].resources: Invalid value: ["pods/*","pods/log","*/status","nodes/status","*/*","*","pods"]: if \'*\' is present, must not specify other resources without subresources',
      ],
    ],
    [
      'a scope',
      [ruled({ scope: 'Here' })],
      [
        'webhooks[0].rules[0].scope: Unsupported value: "Here": supported values: "*", "Cluster", "Namespaced"',
      ],
    ],
    [
      'conditions',
      [
        hook({
          matchConditions: [
            { name: 'a', expression: 'true' },
            { name: 'a', expression: ' 1 ' },
            { name: '', expression: ' ' },
            { name: 'b c', expression: 'variables.x' },
          ],
        }),
      ],
      [
        'webhooks[0].matchConditions[1].expression: Invalid value: "1": must evaluate to bool but got int',
        'webhooks[0].matchConditions[1].name: Duplicate value: "a"',
        'webhooks[0].matchConditions[2].expression: Required value',
        'webhooks[0].matchConditions[2].name: Required value',
        "webhooks[0].matchConditions[3].expression: Invalid value: \"variables.x\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.x\n | ^",
        "webhooks[0].matchConditions[3].name: Invalid value: \"b c\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      ],
    ],
    [
      'too many conditions',
      [
        hook({
          matchConditions: Array.from({ length: 65 }, (_, i) => ({ name: `c${i}`, expression: 'true' })),
        }),
      ],
      ['webhooks[0].matchConditions: Too many: 65: must have at most 64 items'],
    ],
  ])('%s', async (_name, webhooks, errors) => {
    expect((await create(validatingWebhookConfigurationStrategy, configuration(...webhooks))).errors).toEqual(
      errors,
    );
  });

  test('how often mutating ones are called', async () => {
    const { errors } = await create(
      mutatingWebhookConfigurationStrategy,
      configuration(hook({ reinvocationPolicy: 'Always' })),
    );
    expect(errors).toEqual([
      'webhooks[0].reinvocationPolicy: Unsupported value: "Always": supported values: "IfNeeded", "Never"',
    ]);
  });

  test('what was stored stays', async () => {
    const { object } = await create(
      validatingWebhookConfigurationStrategy,
      configuration(
        hook({ sideEffects: 'Some', matchConditions: [{ name: 'a', expression: 'gone()' }] }),
        hook({ admissionReviewVersions: ['v2'] }),
      ),
    );
    const { errors } = await update(validatingWebhookConfigurationStrategy, object, () => undefined);
    expect(errors).toEqual([]);
  });
});
