import { describe, expect, test } from 'vitest';
import {
  builtinGroupVersions,
  builtinResources,
  resourceInfo,
  resourceInfoByKind,
  type ResourceInfo,
} from './index.ts';
import * as api from './index.ts';

const ALL = 'create delete deletecollection get list patch update watch';

/**
 * What upstream's API server says in discovery, with every version switched on that 1.36 has: kubernetes/kubernetes
 * api/discovery/aggregated_v2.json and api__v1.json. Columns: group/version, resource, kind, scope, short names,
 * categories, subresources (a kind other than the resource's in parentheses), verbs where they are not all eight.
 */
const DISCOVERY = `
v1 | bindings | Binding | N | | | | create
v1 | componentstatuses | ComponentStatus | C | cs | | | get list
v1 | configmaps | ConfigMap | N | cm
v1 | endpoints | Endpoints | N | ep
v1 | events | Event | N | ev
v1 | limitranges | LimitRange | N | limits
v1 | namespaces | Namespace | C | ns | | finalize status | create delete get list patch update watch
v1 | nodes | Node | C | no | | proxy(NodeProxyOptions) status
v1 | persistentvolumeclaims | PersistentVolumeClaim | N | pvc | | status
v1 | persistentvolumes | PersistentVolume | C | pv | | status
v1 | pods | Pod | N | po | all | attach(PodAttachOptions) binding(Binding) ephemeralcontainers eviction(policy/v1/Eviction) exec(PodExecOptions) log portforward(PodPortForwardOptions) proxy(PodProxyOptions) resize status
v1 | podtemplates | PodTemplate | N
v1 | replicationcontrollers | ReplicationController | N | rc | all | scale(autoscaling/v1/Scale) status
v1 | resourcequotas | ResourceQuota | N | quota | | status
v1 | secrets | Secret | N
v1 | serviceaccounts | ServiceAccount | N | sa | | token(authentication.k8s.io/v1/TokenRequest)
v1 | services | Service | N | svc | all | proxy(ServiceProxyOptions) status
apiregistration.k8s.io/v1 | apiservices | APIService | C | | api-extensions | status
apps/v1 | controllerrevisions | ControllerRevision | N
apps/v1 | daemonsets | DaemonSet | N | ds | all | status
apps/v1 | deployments | Deployment | N | deploy | all | scale(autoscaling/v1/Scale) status
apps/v1 | replicasets | ReplicaSet | N | rs | all | scale(autoscaling/v1/Scale) status
apps/v1 | statefulsets | StatefulSet | N | sts | all | scale(autoscaling/v1/Scale) status
events.k8s.io/v1 | events | Event | N | ev
authentication.k8s.io/v1 | selfsubjectreviews | SelfSubjectReview | C | | | | create
authentication.k8s.io/v1 | tokenreviews | TokenReview | C | | | | create
authorization.k8s.io/v1 | localsubjectaccessreviews | LocalSubjectAccessReview | N | | | | create
authorization.k8s.io/v1 | selfsubjectaccessreviews | SelfSubjectAccessReview | C | | | | create
authorization.k8s.io/v1 | selfsubjectrulesreviews | SelfSubjectRulesReview | C | | | | create
authorization.k8s.io/v1 | subjectaccessreviews | SubjectAccessReview | C | | | | create
autoscaling/v2 | horizontalpodautoscalers | HorizontalPodAutoscaler | N | hpa | all | status
autoscaling/v1 | horizontalpodautoscalers | HorizontalPodAutoscaler | N | hpa | all | status
batch/v1 | cronjobs | CronJob | N | cj | all | status
batch/v1 | jobs | Job | N | | all | status
certificates.k8s.io/v1 | certificatesigningrequests | CertificateSigningRequest | C | csr | | approval status
certificates.k8s.io/v1beta1 | clustertrustbundles | ClusterTrustBundle | C
certificates.k8s.io/v1beta1 | podcertificaterequests | PodCertificateRequest | N | | | status
certificates.k8s.io/v1alpha1 | clustertrustbundles | ClusterTrustBundle | C
networking.k8s.io/v1 | ingressclasses | IngressClass | C
networking.k8s.io/v1 | ingresses | Ingress | N | ing | | status
networking.k8s.io/v1 | ipaddresses | IPAddress | C | ip
networking.k8s.io/v1 | networkpolicies | NetworkPolicy | N | netpol
networking.k8s.io/v1 | servicecidrs | ServiceCIDR | C | | | status
networking.k8s.io/v1beta1 | ipaddresses | IPAddress | C | ip
networking.k8s.io/v1beta1 | servicecidrs | ServiceCIDR | C | | | status
policy/v1 | poddisruptionbudgets | PodDisruptionBudget | N | pdb | | status
rbac.authorization.k8s.io/v1 | clusterrolebindings | ClusterRoleBinding | C
rbac.authorization.k8s.io/v1 | clusterroles | ClusterRole | C
rbac.authorization.k8s.io/v1 | rolebindings | RoleBinding | N
rbac.authorization.k8s.io/v1 | roles | Role | N
storage.k8s.io/v1 | csidrivers | CSIDriver | C
storage.k8s.io/v1 | csinodes | CSINode | C
storage.k8s.io/v1 | csistoragecapacities | CSIStorageCapacity | N
storage.k8s.io/v1 | storageclasses | StorageClass | C | sc
storage.k8s.io/v1 | volumeattachments | VolumeAttachment | C | | | status
storage.k8s.io/v1 | volumeattributesclasses | VolumeAttributesClass | C | vac
storage.k8s.io/v1beta1 | volumeattributesclasses | VolumeAttributesClass | C | vac
admissionregistration.k8s.io/v1 | mutatingadmissionpolicies | MutatingAdmissionPolicy | C | | api-extensions
admissionregistration.k8s.io/v1 | mutatingadmissionpolicybindings | MutatingAdmissionPolicyBinding | C | | api-extensions
admissionregistration.k8s.io/v1 | mutatingwebhookconfigurations | MutatingWebhookConfiguration | C | | api-extensions
admissionregistration.k8s.io/v1 | validatingadmissionpolicies | ValidatingAdmissionPolicy | C | | api-extensions | status
admissionregistration.k8s.io/v1 | validatingadmissionpolicybindings | ValidatingAdmissionPolicyBinding | C | | api-extensions
admissionregistration.k8s.io/v1 | validatingwebhookconfigurations | ValidatingWebhookConfiguration | C | | api-extensions
admissionregistration.k8s.io/v1beta1 | mutatingadmissionpolicies | MutatingAdmissionPolicy | C | | api-extensions
admissionregistration.k8s.io/v1beta1 | mutatingadmissionpolicybindings | MutatingAdmissionPolicyBinding | C | | api-extensions
admissionregistration.k8s.io/v1alpha1 | mutatingadmissionpolicies | MutatingAdmissionPolicy | C | | api-extensions
admissionregistration.k8s.io/v1alpha1 | mutatingadmissionpolicybindings | MutatingAdmissionPolicyBinding | C | | api-extensions
apiextensions.k8s.io/v1 | customresourcedefinitions | CustomResourceDefinition | C | crd crds | api-extensions | status
scheduling.k8s.io/v1 | priorityclasses | PriorityClass | C | pc
scheduling.k8s.io/v1alpha2 | podgroups | PodGroup | N | | | status
scheduling.k8s.io/v1alpha2 | workloads | Workload | N
coordination.k8s.io/v1 | leases | Lease | N
coordination.k8s.io/v1beta1 | leasecandidates | LeaseCandidate | N
coordination.k8s.io/v1alpha2 | leasecandidates | LeaseCandidate | N
node.k8s.io/v1 | runtimeclasses | RuntimeClass | C
discovery.k8s.io/v1 | endpointslices | EndpointSlice | N
resource.k8s.io/v1 | deviceclasses | DeviceClass | C
resource.k8s.io/v1 | resourceclaims | ResourceClaim | N | | | status
resource.k8s.io/v1 | resourceclaimtemplates | ResourceClaimTemplate | N
resource.k8s.io/v1 | resourceslices | ResourceSlice | C
resource.k8s.io/v1beta2 | deviceclasses | DeviceClass | C
resource.k8s.io/v1beta2 | devicetaintrules | DeviceTaintRule | C | | | status
resource.k8s.io/v1beta2 | resourceclaims | ResourceClaim | N | | | status
resource.k8s.io/v1beta2 | resourceclaimtemplates | ResourceClaimTemplate | N
resource.k8s.io/v1beta2 | resourceslices | ResourceSlice | C
resource.k8s.io/v1beta1 | deviceclasses | DeviceClass | C
resource.k8s.io/v1beta1 | resourceclaims | ResourceClaim | N | | | status
resource.k8s.io/v1beta1 | resourceclaimtemplates | ResourceClaimTemplate | N
resource.k8s.io/v1beta1 | resourceslices | ResourceSlice | C
resource.k8s.io/v1alpha3 | devicetaintrules | DeviceTaintRule | C | | | status
resource.k8s.io/v1alpha3 | resourcepoolstatusrequests | ResourcePoolStatusRequest | C | | | status
flowcontrol.apiserver.k8s.io/v1 | flowschemas | FlowSchema | C | | | status
flowcontrol.apiserver.k8s.io/v1 | prioritylevelconfigurations | PriorityLevelConfiguration | C | | | status
internal.apiserver.k8s.io/v1alpha1 | storageversions | StorageVersion | C | | | status
storagemigration.k8s.io/v1beta1 | storageversionmigrations | StorageVersionMigration | C | | | status
`.trim();

/** Verbs of subresources where they are not get, patch, update. */
const SUBRESOURCE_VERBS: Readonly<Record<string, string>> = {
  attach: 'create get',
  binding: 'create',
  eviction: 'create',
  exec: 'create get',
  finalize: 'update',
  log: 'get',
  portforward: 'create get',
  proxy: 'create delete get patch update',
  token: 'create',
};

function describeRow(info: ResourceInfo): string {
  const groupVersion = info.group === '' ? info.version : `${info.group}/${info.version}`;
  const subresources = info.subresources.map((sub) => {
    if (sub.group !== info.group || sub.version !== info.version) {
      return `${sub.name}(${sub.group}/${sub.version}/${sub.kind})`;
    }
    return sub.kind === info.kind ? sub.name : `${sub.name}(${sub.kind})`;
  });
  const verbs = info.verbs.join(' ');
  const columns = [
    groupVersion,
    info.resource,
    info.kind,
    info.namespaced ? 'N' : 'C',
    info.shortNames.join(' '),
    info.categories.join(' '),
    subresources.join(' '),
    verbs === ALL ? '' : verbs,
  ];
  return columns
    .join(' | ')
    .replace(/[ |]+$/, '')
    .replaceAll(/ {2,}/g, ' ');
}

const upstreams = builtinResources.filter((info) => ['stable', 'beta', 'alpha'].includes(info.stage));

describe('the resource table', () => {
  test('is what upstream says in discovery', () => {
    expect(upstreams.map(describeRow).sort()).toEqual(DISCOVERY.split('\n').sort());
  });

  test('subresources have upstream’s verbs', () => {
    for (const info of upstreams) {
      for (const { name, verbs } of info.subresources) {
        expect([info.resource, name, verbs.join(' ')]).toEqual([
          info.resource,
          name,
          SUBRESOURCE_VERBS[name] ?? 'get patch update',
        ]);
      }
    }
  });

  test.each([
    ['', 'v1', 'pods', 'xPOwRZ+Yhw8='],
    ['', 'v1', 'configmaps', 'qFsyl6wFWjQ='],
    ['', 'v1', 'events', 'r2yiGXH7wu8='],
    ['', 'v1', 'endpoints', 'fWeeMqaN/OA='],
    ['', 'v1', 'persistentvolumes', 'HN/zwEC+JgM='],
    ['events.k8s.io', 'v1', 'events', 'r2yiGXH7wu8='],
    ['', 'v1', 'bindings', ''],
    ['authorization.k8s.io', 'v1', 'subjectaccessreviews', ''],
  ])('the storage version hash of %s/%s %s', (group, version, resource, hash) => {
    expect(resourceInfo(group, version, resource)?.storageVersionHash).toBe(hash);
  });

  test('groups come in the order of their priority, versions newest first', () => {
    const rest = builtinGroupVersions.filter(
      ({ group }) => group !== '' && group !== 'apiregistration.k8s.io',
    );
    const sorted = [...rest].sort(
      (a, b) =>
        b.groupPriority - a.groupPriority ||
        compare(a.group, b.group) ||
        b.versionPriority - a.versionPriority,
    );
    expect(rest).toEqual(sorted);
    expect(builtinGroupVersions.slice(0, 2).map(({ group }) => group)).toEqual([
      '',
      'apiregistration.k8s.io',
    ]);
  });

  test('every stored version exists and stores itself', () => {
    for (const info of builtinResources) {
      const stored = resourceInfoByKind(info.storage.group, info.storage.version, info.kind);
      expect(stored, `${info.group}/${info.version} ${info.kind}`).toBeDefined();
      expect(stored?.storage).toEqual(info.storage);
    }
  });

  test('a stable version never depends on one that is switched off', () => {
    for (const info of builtinResources.filter(({ stage }) => stage === 'stable')) {
      expect(resourceInfo(info.storage.group, info.storage.version, info.resource)?.stage).toBe('stable');
    }
  });

  test('finds by path and by kind', () => {
    expect(resourceInfo('apps', 'v1', 'deployments')?.kind).toBe('Deployment');
    expect(resourceInfoByKind('', 'v1', 'Endpoints')?.resource).toBe('endpoints');
    expect(resourceInfo('apps', 'v1', 'constructor')).toBeUndefined();
    expect(resourceInfoByKind('apps', 'v9', 'Deployment')).toBeUndefined();
  });
});

describe('handles', () => {
  const namespaces = api as unknown as Readonly<Record<string, Readonly<Record<string, unknown>>>>;

  test.each([
    ['corev1', 'pods', { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true }],
    ['corev1', 'persistentVolumeClaims', expect.objectContaining({ resource: 'persistentvolumeclaims' })],
    ['appsv1', 'deployments', expect.objectContaining({ group: 'apps', kind: 'Deployment' })],
    ['networkingv1', 'ipAddresses', expect.objectContaining({ kind: 'IPAddress', namespaced: false })],
    ['storagev1', 'csiStorageCapacities', expect.objectContaining({ kind: 'CSIStorageCapacity' })],
    ['apiregistrationv1', 'apiServices', expect.objectContaining({ resource: 'apiservices' })],
    ['metricsv1beta1', 'pods', expect.objectContaining({ kind: 'PodMetrics' })],
  ])('%s.%s', (namespace, name, expected) => {
    expect(namespaces[namespace]?.[name]).toEqual(expected);
  });

  test('there is one for every resource', () => {
    const handles = Object.values(namespaces).flatMap((members) =>
      Object.values(members).filter((member) => isHandle(member)),
    );
    const names = (list: readonly { group: string; version: string; resource: string }[]): string[] =>
      list.map(({ group, version, resource }) => `${group}/${version}/${resource}`).sort();
    expect(names(handles)).toEqual(names(builtinResources));
  });
});

function isHandle(value: unknown): value is { group: string; version: string; resource: string } {
  return typeof value === 'object' && value !== null && 'resource' in value && !('verbs' in value);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

test.each([
  ['apps', 'v1', 'deployments', ''],
  [
    'apps',
    'v1beta1',
    'deployments',
    'apps/v1beta1 Deployment is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 Deployment',
  ],
  ['', 'v1', 'endpoints', 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice'],
  ['', 'v1', 'componentstatuses', 'v1 ComponentStatus is deprecated in v1.19+'],
  // Says neither when nor by what; three releases after it began, and three more.
  [
    'networking.k8s.io',
    'v1beta1',
    'ipaddresses',
    'networking.k8s.io/v1beta1 IPAddress is deprecated in v1.34+, unavailable in v1.37+',
  ],
  // Will be, but not in this release.
  ['certificates.k8s.io', 'v1beta1', 'clustertrustbundles', ''],
])('the deprecation of %s/%s %s', (group, version, resource, text) => {
  expect(resourceInfo(group, version, resource)?.deprecation).toBe(text);
});
