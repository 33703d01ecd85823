import { expect, test } from 'vitest';
import type { Strategy } from '../contract.ts';
import { runtimeClassStrategy } from '../node/runtime-class.ts';
import { csiDriverStrategy, csiNodeStrategy } from '../storage/csi.ts';
import { storageClassStrategy } from '../storage/storage-class.ts';
import { volumeAttachmentStrategy } from '../storage/volume-attachment.ts';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import { ingressClassStrategy, ingressStrategy } from './ingress.ts';
import { networkPolicyStrategy } from './network-policy.ts';
import { ipAddressStrategy, serviceCidrStrategy } from './service-addresses.ts';

// Tables hold strategies of many kinds.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyStrategy = Strategy<any>;

const named = (fields: Json): Json => ({ metadata: { name: 'x', namespace: 'default' }, ...fields });
const backend = { service: { name: 's', port: { number: 80 } } };
const rule = (path: Json): Json => ({ spec: { rules: [{ http: { paths: [path] } }] } });

test.each<[string, AnyStrategy, Json, readonly string[]]>([
  ['an ingress', ingressStrategy, named(rule({ path: '/', pathType: 'Prefix', backend })), []],
  [
    'an ingress of nothing',
    ingressStrategy,
    named({ spec: {} }),
    ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified'],
  ],
  [
    'an ingress with a bad path',
    ingressStrategy,
    named(rule({ path: '/a//b/..', pathType: 'Exact', backend })),
    [
      'spec.rules[0].http.paths[0].path: Invalid value: "/a//b/..": must not contain \'//\'',
      'spec.rules[0].http.paths[0].path: Invalid value: "/a//b/..": cannot end with \'/..\'',
    ],
  ],
  [
    'an ingress without port',
    ingressStrategy,
    named(rule({ path: '/', pathType: 'Prefix', backend: { service: { name: 's' } } })),
    ['spec.rules[0].http.paths[0].backend: Required value: port name or number is required'],
  ],
  [
    'an ingress for an address',
    ingressStrategy,
    named({ spec: { defaultBackend: backend, rules: [{ host: '10.0.0.1' }] } }),
    ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'],
  ],
  [
    'an ingress class of no domain',
    ingressClassStrategy,
    named({ spec: { controller: 'x' } }),
    ['spec.controller: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'],
  ],
  [
    'a policy of a peer that is none',
    networkPolicyStrategy,
    named({ spec: { podSelector: {}, ingress: [{ from: [{}] }] } }),
    ['spec.ingress[0].from[0]: Required value: must specify a peer'],
  ],
  [
    'a policy that excepts too much',
    networkPolicyStrategy,
    named({
      spec: {
        podSelector: {},
        egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/24', except: ['10.0.0.0/16'] } }] }],
      },
    }),
    [
      'spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "10.0.0.0/16": must be a strict subset of `cidr`',
    ],
  ],
  [
    'an address of nobody',
    ipAddressStrategy,
    { metadata: { name: '10.0.0.1' }, spec: {} },
    ['spec.parentRef: Required value'],
  ],
  [
    'two ranges of a family',
    serviceCidrStrategy,
    named({ spec: { cidrs: ['10.0.0.0/16', '10.1.0.0/16'] } }),
    [
      'spec.cidrs: Invalid value: ["10.0.0.0/16","10.1.0.0/16"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
    ],
  ],
  ['a storage class', storageClassStrategy, named({ provisioner: 'a.b/c' }), []],
  [
    'a storage class that binds otherwise',
    storageClassStrategy,
    named({ provisioner: '', volumeBindingMode: 'X' }),
    [
      'provisioner: Required value',
      'volumeBindingMode: Unsupported value: "X": supported values: "Immediate", "WaitForFirstConsumer"',
    ],
  ],
  [
    'a driver that asks for tokens too briefly',
    csiDriverStrategy,
    named({ spec: { tokenRequests: [{ audience: 'a', expirationSeconds: 5 }] } }),
    [
      'spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
    ],
  ],
  [
    'a driver twice',
    csiNodeStrategy,
    named({
      spec: {
        drivers: [
          { name: 'd', nodeID: 'n', topologyKeys: [] },
          { name: 'd', nodeID: '', topologyKeys: [] },
        ],
      },
    }),
    ['spec.drivers[1].nodeID: Required value', 'spec.drivers[1].name: Duplicate value: "d"'],
  ],
  [
    'an attachment of nothing',
    volumeAttachmentStrategy,
    named({ spec: { attacher: 'd', nodeName: 'n', source: {} } }),
    ['spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName'],
  ],
  [
    'a runtime class of no handler',
    runtimeClassStrategy,
    named({ handler: '' }),
    ['handler: Required value'],
  ],
])('%s', async (_, strategy, object, expected) => {
  expect((await create(strategy, object)).errors).toEqual(expected);
});

test('defaults of policies', async () => {
  const { object } = await create(
    networkPolicyStrategy,
    named({ spec: { podSelector: {}, egress: [{ ports: [{ port: 53 }] }] } }),
  );
  expect(object.spec).toMatchObject({
    policyTypes: ['Ingress', 'Egress'],
    egress: [{ ports: [{ port: 53, protocol: 'TCP' }] }],
  });
});

test('storage classes stay as they are', async () => {
  const { object } = await create(storageClassStrategy, named({ provisioner: 'a.b/c' }));
  expect(object).toMatchObject({ reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' });
  const { errors } = await update(storageClassStrategy, object, (next) => {
    next.provisioner = 'other';
    next.parameters = { a: 'b' };
  });
  expect(errors).toEqual([
    'parameters: Invalid value: {"a":"b"}: field is immutable',
    'provisioner: Invalid value: "other": field is immutable',
  ]);
});
