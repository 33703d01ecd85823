import type { apiregistrationv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import { apiServiceStrategy } from './api-service.ts';

type APIService = apiregistrationv1.APIService;

const PRIORITIES = { groupPriorityMinimum: 2000, versionPriority: 200 };
const WARDLE = { group: 'wardle.example.com', version: 'v1alpha1', ...PRIORITIES };
const SERVICE = { namespace: 'wardle', name: 'api' };
const CA = Buffer.from('an authority').toString('base64');

const apiService = (spec: Json, name = 'v1alpha1.wardle.example.com'): Json => ({
  metadata: { name },
  spec,
});

describe('an APIService', () => {
  test.each<[string, Json, readonly string[]]>([
    ['of a Service', apiService({ ...WARDLE, service: SERVICE, caBundle: CA }), []],
    ['served locally', apiService(WARDLE), []],
    ['of the legacy API', apiService({ version: 'v1', ...PRIORITIES }, 'v1.'), []],
    [
      'without a group, and not v1',
      apiService({ version: 'v2', ...PRIORITIES }, 'v2.'),
      ['spec.group: Required value: only v1 may have an empty group and it better be legacy kube'],
    ],
    [
      'with another name',
      apiService(WARDLE, 'v1.wardle.example.com'),
      [
        'metadata.name: Invalid value: "v1.wardle.example.com": must be `spec.version+"."+spec.group`: "v1alpha1.wardle.example.com"',
      ],
    ],
    [
      'with priorities out of range',
      apiService({ ...WARDLE, groupPriorityMinimum: 20_001, versionPriority: 0 }),
      [
        'spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000',
        'spec.versionPriority: Invalid value: 0: must be positive and less than 1000',
      ],
    ],
    [
      'served locally with TLS settings',
      apiService({ ...WARDLE, caBundle: CA, insecureSkipTLSVerify: true }),
      [
        'spec.caBundle: Invalid value: "12 bytes": local APIServices may not have a caBundle',
        'spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify',
      ],
    ],
    [
      'of a Service without a name',
      apiService({ ...WARDLE, service: { port: 70_000 }, insecureSkipTLSVerify: true, caBundle: CA }),
      [
        'spec.service.namespace: Required value',
        'spec.service.name: Required value',
        'spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive',
        'spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present',
      ],
    ],
  ])('%s', async (_, object, errors) => {
    expect((await create(apiServiceStrategy, object)).errors).toEqual(errors);
  });

  test('of a Service gets port 443 and no status; a local one is available at once', async () => {
    const status = { conditions: [{ type: 'Available', status: 'True' }] };
    const remote = await create(apiServiceStrategy, {
      ...apiService({ ...WARDLE, service: SERVICE }),
      status,
    });
    expect(remote.object.spec.service?.port).toBe(443);
    expect(remote.object.status?.conditions).toBeUndefined();
    const local = await create(apiServiceStrategy, apiService(WARDLE));
    expect(local.object.status?.conditions).toEqual([
      {
        type: 'Available',
        status: 'True',
        reason: 'Local',
        message: 'Local APIServices are always available',
        lastTransitionTime: '2026-01-02T03:04:05Z',
      },
    ]);
  });

  test('keeps its status but for the status subresource, which keeps all else', async () => {
    const { object } = await create(apiServiceStrategy, apiService(WARDLE));
    const change = (draft: { spec?: unknown; status?: unknown }): void => {
      draft.spec = { ...WARDLE, versionPriority: 5 };
      draft.status = { conditions: [{ type: 'Available', status: 'Maybe' }] };
    };
    const whole = await update<APIService>(apiServiceStrategy, object, change);
    expect(whole.object.status).toEqual(object.status);
    expect(whole.object.spec.versionPriority).toBe(5);
    const status = await update<APIService>(apiServiceStrategy, object, change, 'status');
    expect(status.object.spec.versionPriority).toBe(200);
    expect(status.errors).toEqual([
      'status.conditions[0].status: Unsupported value: "Maybe": supported values: "True", "False", "Unknown"',
    ]);
  });

  test.each<[string, Json, string]>([
    [
      'local',
      { spec: WARDLE, status: { conditions: [{ type: 'Available', status: 'True' }] } },
      'Local True',
    ],
    ['unknown', { spec: { ...WARDLE, service: SERVICE } }, 'wardle/api Unknown'],
    [
      'unavailable',
      {
        spec: { ...WARDLE, service: SERVICE },
        status: { conditions: [{ type: 'Available', status: 'False', reason: 'ServiceNotFound' }] },
      },
      'wardle/api False (ServiceNotFound)',
    ],
  ])('in a table, %s', (_, object, text) => {
    const cells = (apiServiceStrategy.columns ?? []).slice(1, 3);
    expect(cells.map(({ cell }) => cell(object as unknown as APIService, 0)).join(' ')).toBe(text);
  });
});
