/**
 * The flow schemas and priority levels that every cluster has (k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap). The
 * mandatory ones hold even while their objects are missing; the suggested ones belong to the cluster's administrator.
 */
import type { flowcontrolv1 } from '@k8ts/api';

type FlowSchema = flowcontrolv1.FlowSchema;
type PriorityLevel = flowcontrolv1.PriorityLevelConfiguration;
type PolicyRules = flowcontrolv1.PolicyRulesWithSubjects;
type Subject = flowcontrolv1.Subject;

/** `"true"`: the API server keeps the object as it is here. */
export const AUTO_UPDATE = 'apf.kubernetes.io/autoupdate-spec';
export const EXEMPT = 'exempt';
export const CATCH_ALL = 'catch-all';

const group = (name: string): Subject => ({ kind: 'Group', group: { name } });
const user = (name: string): Subject => ({ kind: 'User', user: { name } });
const EVERYBODY = [group('system:unauthenticated'), group('system:authenticated')];
const KUBE_SYSTEM_ACCOUNTS: Subject = {
  kind: 'ServiceAccount',
  serviceAccount: { namespace: 'kube-system', name: '*' },
};

/** Some verbs on some resources of an API group, in all namespaces. */
function resourceRule(
  verbs: readonly string[],
  apiGroup: string,
  resources: readonly string[],
  clusterScope: boolean,
): flowcontrolv1.ResourcePolicyRule {
  return {
    verbs,
    apiGroups: [apiGroup],
    resources,
    ...(clusterScope ? { clusterScope } : {}),
    namespaces: ['*'],
  };
}

const whatever = (subjects: readonly Subject[]): PolicyRules => ({
  subjects,
  resourceRules: [resourceRule(['*'], '*', ['*'], true)],
  nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
});

function flowSchema(
  name: string,
  priorityLevel: string,
  matchingPrecedence: number,
  distinguisher: 'ByUser' | 'ByNamespace' | undefined,
  rules: PolicyRules,
): FlowSchema {
  return {
    metadata: { name, annotations: { [AUTO_UPDATE]: 'true' } },
    spec: {
      priorityLevelConfiguration: { name: priorityLevel },
      matchingPrecedence,
      ...(distinguisher === undefined ? {} : { distinguisherMethod: { type: distinguisher } }),
      rules: [rules],
    },
  };
}

function priorityLevel(name: string, spec: PriorityLevel['spec']): PriorityLevel {
  return { metadata: { name, annotations: { [AUTO_UPDATE]: 'true' } }, spec };
}

function queueing(
  name: string,
  nominalConcurrencyShares: number,
  lendablePercent: number,
  queues: number,
  handSize: number,
): PriorityLevel {
  return priorityLevel(name, {
    type: 'Limited',
    limited: {
      nominalConcurrencyShares,
      limitResponse: { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } },
      lendablePercent,
    },
  });
}

export const MANDATORY_PRIORITY_LEVELS: readonly PriorityLevel[] = [
  priorityLevel(EXEMPT, { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } }),
  priorityLevel(CATCH_ALL, {
    type: 'Limited',
    limited: { nominalConcurrencyShares: 5, limitResponse: { type: 'Reject' }, lendablePercent: 0 },
  }),
];

export const MANDATORY_FLOW_SCHEMAS: readonly FlowSchema[] = [
  flowSchema(EXEMPT, EXEMPT, 1, undefined, whatever([group('system:masters')])),
  flowSchema(CATCH_ALL, CATCH_ALL, 10_000, 'ByUser', whatever(EVERYBODY)),
];

export const SUGGESTED_PRIORITY_LEVELS: readonly PriorityLevel[] = [
  queueing('system', 30, 33, 64, 6),
  queueing('node-high', 40, 25, 64, 6),
  queueing('leader-election', 10, 0, 16, 4),
  queueing('workload-high', 40, 50, 128, 6),
  queueing('workload-low', 100, 90, 128, 6),
  queueing('global-default', 20, 50, 128, 6),
];

export const SUGGESTED_FLOW_SCHEMAS: readonly FlowSchema[] = [
  flowSchema('probes', EXEMPT, 2, undefined, {
    subjects: EVERYBODY,
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }],
  }),
  flowSchema('system-leader-election', 'leader-election', 100, 'ByUser', {
    subjects: [user('system:kube-controller-manager'), user('system:kube-scheduler'), KUBE_SYSTEM_ACCOUNTS],
    resourceRules: [resourceRule(['get', 'create', 'update'], 'coordination.k8s.io', ['leases'], false)],
  }),
  flowSchema('system-node-high', 'node-high', 400, 'ByUser', {
    subjects: [group('system:nodes')],
    resourceRules: [
      resourceRule(['*'], '', ['nodes', 'nodes/status'], true),
      resourceRule(['*'], 'coordination.k8s.io', ['leases'], false),
    ],
  }),
  flowSchema('system-nodes', 'system', 500, 'ByUser', whatever([group('system:nodes')])),
  flowSchema(
    'kube-controller-manager',
    'workload-high',
    800,
    'ByNamespace',
    whatever([user('system:kube-controller-manager')]),
  ),
  flowSchema(
    'kube-scheduler',
    'workload-high',
    800,
    'ByNamespace',
    whatever([user('system:kube-scheduler')]),
  ),
  flowSchema(
    'kube-system-service-accounts',
    'workload-high',
    900,
    'ByNamespace',
    whatever([KUBE_SYSTEM_ACCOUNTS]),
  ),
  flowSchema(
    'service-accounts',
    'workload-low',
    9_000,
    'ByUser',
    whatever([group('system:serviceaccounts')]),
  ),
  flowSchema('global-default', 'global-default', 9_900, 'ByUser', whatever(EVERYBODY)),
];
