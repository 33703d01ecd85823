/** Columns of the remaining groups. */
import type {
  admissionregistrationv1,
  certificatesv1,
  coordinationv1,
  discoveryv1,
  flowcontrolv1,
  KubeObject,
  networkingv1,
  nodev1,
  rbacv1,
  resourcev1,
  schedulingv1,
  storagev1,
} from '@k8ts/api';
import type { Column } from '../contract.ts';
import { ageColumn, atMost, column, formatSelector, nameColumn, wideColumn } from '../cells.ts';
import { humanDuration } from '../human-duration.ts';
import { loadBalancerAddresses } from './core.ts';

export const ingressColumns: readonly Column<networkingv1.Ingress>[] = [
  nameColumn,
  column(
    'Class',
    'string',
    'Which controller implements it.',
    (object) => object.spec?.ingressClassName ?? '<none>',
  ),
  column('Hosts', 'string', 'Host names that it answers for.', ({ spec }) => hostsText(spec?.rules ?? [])),
  column('Address', 'string', 'Where it can be reached.', (object) =>
    loadBalancerAddresses(object.status?.loadBalancer?.ingress).join(','),
  ),
  column('Ports', 'string', 'Ports that are open.', ({ spec }) =>
    (spec?.tls ?? []).length > 0 ? '80, 443' : '80',
  ),
  ageColumn,
];

const SHOWN_HOSTS = 3;

function hostsText(rules: readonly networkingv1.IngressRule[]): string {
  const hosts: string[] = [];
  let more = false;
  for (const { host } of rules) {
    if (hosts.length === SHOWN_HOSTS) more = true;
    if (!more && host) hosts.push(host);
  }
  if (hosts.length === 0) return '*';
  return more ? `${hosts.join(',')} + ${rules.length - SHOWN_HOSTS} more...` : hosts.join(',');
}

const isDefault = (object: KubeObject, ...annotations: readonly string[]): boolean =>
  annotations.some((annotation) => object.metadata.annotations?.[annotation] === 'true');

function defaultableName<T extends KubeObject>(...annotations: readonly string[]): Column<T> {
  return {
    ...(nameColumn as Column<T>),
    cell: (object) =>
      isDefault(object, ...annotations) ? `${object.metadata.name} (default)` : object.metadata.name,
  };
}

export const ingressClassColumns: readonly Column<networkingv1.IngressClass>[] = [
  defaultableName('ingressclass.kubernetes.io/is-default-class'),
  column('Controller', 'string', 'Who implements this class.', (object) => object.spec?.controller ?? ''),
  column('Parameters', 'string', 'An object with more settings.', ({ spec }) => {
    const parameters = spec?.parameters;
    if (parameters === undefined) return '<none>';
    return `${parameters.kind}${parameters.apiGroup === undefined ? '' : `.${parameters.apiGroup}`}/${parameters.name}`;
  }),
  ageColumn,
];

export const networkPolicyColumns: readonly Column<networkingv1.NetworkPolicy>[] = [
  nameColumn,
  column('Pod-Selector', 'string', 'The pods that it is about.', (object) =>
    formatSelector(object.spec?.podSelector ?? {}),
  ),
  ageColumn,
];

export const serviceCidrColumns: readonly Column<networkingv1.ServiceCIDR>[] = [
  nameColumn,
  column('CIDRs', 'string', 'Address ranges for services.', (object) => (object.spec?.cidrs ?? []).join(',')),
  ageColumn,
];

export const ipAddressColumns: readonly Column<networkingv1.IPAddress>[] = [
  nameColumn,
  column('ParentRef', 'string', 'The object that uses the address.', ({ spec }) => {
    const parent = spec?.parentRef;
    if (parent === undefined) return '<none>';
    const resource = `${parent.resource ?? ''}${parent.group ? `.${parent.group}` : ''}`.toLowerCase();
    return [resource, ...(parent.namespace ? [parent.namespace] : []), parent.name ?? ''].join('/');
  }),
  ageColumn,
];

export const endpointSliceColumns: readonly Column<discoveryv1.EndpointSlice>[] = [
  nameColumn,
  column('AddressType', 'string', 'IPv4, IPv6 or FQDN.', (object) => object.addressType ?? ''),
  column('Ports', 'string', 'Ports of every endpoint.', (object) => {
    const ports = (object.ports ?? []).map((port) =>
      port.port === undefined ? (port.name ?? '*') : String(port.port),
    );
    return atMost(ports, 3) || '<unset>';
  }),
  column('Endpoints', 'string', 'Addresses of the endpoints.', (object) => {
    const addresses = (object.endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? []);
    return atMost(addresses, 3) || '<unset>';
  }),
  ageColumn,
];

export const leaseColumns: readonly Column<coordinationv1.Lease>[] = [
  nameColumn,
  column('Holder', 'string', 'Who holds it.', (object) => object.spec?.holderIdentity ?? ''),
  ageColumn,
];

export const priorityClassColumns: readonly Column<schedulingv1.PriorityClass>[] = [
  nameColumn,
  column('Value', 'integer', 'The priority of its pods.', (object) => object.value ?? 0),
  column(
    'Global-Default',
    'boolean',
    'Whether pods without a class get it.',
    (object) => object.globalDefault ?? false,
  ),
  ageColumn,
  column(
    'PreemptionPolicy',
    'string',
    'Whether its pods push others out.',
    (object) => object.preemptionPolicy ?? '',
  ),
];

type Binding = rbacv1.RoleBinding | rbacv1.ClusterRoleBinding;

function subjects(kind: string): (object: Binding) => string {
  return (object) =>
    (object.subjects ?? [])
      .filter((subject) => subject.kind === kind)
      .map(({ namespace, name }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
      .join(', ');
}

export const roleBindingColumns: readonly Column<Binding>[] = [
  nameColumn,
  column(
    'Role',
    'string',
    'What it grants.',
    ({ roleRef }) => `${roleRef?.kind ?? ''}/${roleRef?.name ?? ''}`,
  ),
  ageColumn,
  wideColumn('Users', 'string', 'Users that it grants it to.', subjects('User')),
  wideColumn('Groups', 'string', 'Groups that it grants it to.', subjects('Group')),
  wideColumn(
    'ServiceAccounts',
    'string',
    'Service accounts that it grants it to.',
    subjects('ServiceAccount'),
  ),
];

export const storageClassColumns: readonly Column<storagev1.StorageClass>[] = [
  defaultableName(
    'storageclass.kubernetes.io/is-default-class',
    'storageclass.beta.kubernetes.io/is-default-class',
  ),
  column('Provisioner', 'string', 'Who makes the volumes.', (object) => object.provisioner ?? ''),
  column(
    'ReclaimPolicy',
    'string',
    'What happens to released volumes.',
    (object) => object.reclaimPolicy ?? 'Delete',
  ),
  column(
    'VolumeBindingMode',
    'string',
    'When volumes are made and bound.',
    (object) => object.volumeBindingMode ?? 'Immediate',
  ),
  column(
    'AllowVolumeExpansion',
    'string',
    'Whether volumes can grow.',
    (object) => object.allowVolumeExpansion ?? false,
  ),
  ageColumn,
];

export const volumeAttributesClassColumns: readonly Column<storagev1.VolumeAttributesClass>[] = [
  nameColumn,
  column('DriverName', 'string', 'The CSI driver.', (object) => object.driverName ?? ''),
  ageColumn,
];

export const volumeAttachmentColumns: readonly Column<storagev1.VolumeAttachment>[] = [
  nameColumn,
  {
    ...column<storagev1.VolumeAttachment>(
      'Attacher',
      'string',
      'The CSI driver.',
      (object) => object.spec?.attacher ?? '',
    ),
    format: 'name',
  },
  column('PV', 'string', 'The volume.', (object) => object.spec?.source?.persistentVolumeName ?? ''),
  column('Node', 'string', 'Where it is attached.', (object) => object.spec?.nodeName ?? ''),
  column('Attached', 'boolean', 'Whether it is attached.', (object) => object.status?.attached ?? false),
  ageColumn,
];

export const csiNodeColumns: readonly Column<storagev1.CSINode>[] = [
  nameColumn,
  column('Drivers', 'integer', 'CSI drivers on the node.', (object) => (object.spec?.drivers ?? []).length),
  ageColumn,
];

export const csiDriverColumns: readonly Column<storagev1.CSIDriver>[] = [
  nameColumn,
  column(
    'AttachRequired',
    'boolean',
    'Volumes are attached before use.',
    (object) => object.spec?.attachRequired ?? true,
  ),
  column(
    'PodInfoOnMount',
    'boolean',
    'It is told of the pod.',
    (object) => object.spec?.podInfoOnMount ?? false,
  ),
  column(
    'StorageCapacity',
    'boolean',
    'The scheduler asks for its capacity.',
    (object) => object.spec?.storageCapacity ?? false,
  ),
  column('TokenRequests', 'string', 'Audiences of the tokens it gets.', ({ spec }) =>
    spec?.tokenRequests === undefined
      ? '<unset>'
      : spec.tokenRequests.map((request) => request.audience).join(','),
  ),
  column(
    'RequiresRepublish',
    'boolean',
    'Volumes are published again and again.',
    (object) => object.spec?.requiresRepublish ?? false,
  ),
  column(
    'Modes',
    'string',
    'Kinds of volumes.',
    (object) => (object.spec?.volumeLifecycleModes ?? []).join(',') || '<none>',
  ),
  ageColumn,
];

export const csiStorageCapacityColumns: readonly Column<storagev1.CSIStorageCapacity>[] = [
  nameColumn,
  column('StorageClassName', 'string', 'The storage class.', (object) => object.storageClassName ?? ''),
  column('Capacity', 'string', 'What is left.', (object) => object.capacity ?? '<unset>'),
];

export const runtimeClassColumns: readonly Column<nodev1.RuntimeClass>[] = [
  nameColumn,
  column(
    'Handler',
    'string',
    'The name the container runtime knows it by.',
    (object) => object.handler ?? '',
  ),
  ageColumn,
];

function certificateState({ status }: certificatesv1.CertificateSigningRequest): string {
  const has = (type: string): boolean =>
    (status?.conditions ?? []).some((condition) => condition.type === type);
  const decision = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending';
  return `${decision}${has('Failed') ? ',Failed' : ''}${status?.certificate ? ',Issued' : ''}`;
}

export const certificateSigningRequestColumns: readonly Column<certificatesv1.CertificateSigningRequest>[] = [
  nameColumn,
  ageColumn,
  column('SignerName', 'string', 'Who is to sign.', (object) => object.spec?.signerName || '<none>'),
  column('Requestor', 'string', 'Who asks.', (object) => object.spec?.username ?? ''),
  column('RequestedDuration', 'string', 'For how long.', ({ spec }) =>
    spec?.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
  ),
  column('Condition', 'string', 'How far it is.', certificateState),
];

type WebhookConfiguration =
  | admissionregistrationv1.MutatingWebhookConfiguration
  | admissionregistrationv1.ValidatingWebhookConfiguration;

export const webhookConfigurationColumns: readonly Column<WebhookConfiguration>[] = [
  nameColumn,
  column(
    'Webhooks',
    'integer',
    'How many webhooks it registers.',
    (object) => (object.webhooks ?? []).length,
  ),
  ageColumn,
];

export const validatingAdmissionPolicyColumns: readonly Column<admissionregistrationv1.ValidatingAdmissionPolicy>[] =
  [
    nameColumn,
    column(
      'Validations',
      'integer',
      'How many rules it has.',
      (object) => (object.spec?.validations ?? []).length,
    ),
    column('ParamKind', 'string', 'Kind of its parameters.', ({ spec }) => paramKindCell(spec?.paramKind)),
    ageColumn,
  ];

export const mutatingAdmissionPolicyColumns: readonly Column<admissionregistrationv1.MutatingAdmissionPolicy>[] =
  [
    nameColumn,
    column(
      'Mutations',
      'integer',
      'How many changes it makes.',
      ({ spec }) => (spec?.mutations ?? []).length,
    ),
    column('ParamKind', 'string', 'Kind of its parameters.', ({ spec }) => paramKindCell(spec?.paramKind)),
    ageColumn,
  ];

function paramKindCell(kind: admissionregistrationv1.ParamKind | undefined): string {
  return kind === undefined ? '<unset>' : `${kind.apiVersion ?? ''}/${kind.kind ?? ''}`;
}

type PolicyBinding =
  | admissionregistrationv1.ValidatingAdmissionPolicyBinding
  | admissionregistrationv1.MutatingAdmissionPolicyBinding;

export const policyBindingColumns: readonly Column<PolicyBinding>[] = [
  nameColumn,
  column('PolicyName', 'string', 'The policy.', (object) => object.spec?.policyName ?? ''),
  column('ParamRef', 'string', 'Its parameters.', ({ spec }) => {
    const reference = spec?.paramRef;
    if (reference?.name) return `${reference.namespace || '*'}/${reference.name}`;
    return reference?.selector === undefined ? '<unset>' : formatSelector(reference.selector);
  }),
  ageColumn,
];

export const flowSchemaColumns: readonly Column<flowcontrolv1.FlowSchema>[] = [
  nameColumn,
  column(
    'PriorityLevel',
    'string',
    'Where its requests queue.',
    (object) => object.spec?.priorityLevelConfiguration?.name ?? '',
  ),
  column(
    'MatchingPrecedence',
    'string',
    'Its place among the schemas.',
    (object) => object.spec?.matchingPrecedence ?? 0,
  ),
  column(
    'DistinguisherMethod',
    'string',
    'How flows are told apart.',
    (object) => object.spec?.distinguisherMethod?.type ?? '<none>',
  ),
  ageColumn,
  column(
    'MissingPL',
    'string',
    'Whether its priority level is missing.',
    (object) =>
      (object.status?.conditions ?? []).find((condition) => condition.type === 'Dangling')?.status ?? '?',
  ),
];

export const priorityLevelColumns: readonly Column<flowcontrolv1.PriorityLevelConfiguration>[] = [
  nameColumn,
  column('Type', 'string', 'Limited or exempt.', (object) => object.spec?.type ?? ''),
  column('NominalConcurrencyShares', 'string', 'Its part of the server.', ({ spec }) =>
    spec?.limited === undefined ? '<none>' : (spec.limited.nominalConcurrencyShares ?? 0),
  ),
  column(
    'Queues',
    'string',
    'How many queues.',
    ({ spec }) => spec?.limited?.limitResponse?.queuing?.queues ?? '<none>',
  ),
  column(
    'HandSize',
    'string',
    'Queues dealt to a flow.',
    ({ spec }) => spec?.limited?.limitResponse?.queuing?.handSize ?? '<none>',
  ),
  column(
    'QueueLengthLimit',
    'string',
    'Requests a queue holds.',
    ({ spec }) => spec?.limited?.limitResponse?.queuing?.queueLengthLimit ?? '<none>',
  ),
  ageColumn,
];

export const nameAndAgeColumns: readonly Column<KubeObject>[] = [nameColumn, ageColumn];

export const resourceClaimColumns: readonly Column<resourcev1.ResourceClaim>[] = [
  nameColumn,
  column('State', 'string', 'Pending, allocated, reserved or deleted.', ({ metadata, status }) => {
    const deleted = metadata.deletionTimestamp !== undefined;
    const states = deleted ? ['deleted'] : [];
    if (status?.allocation === undefined) {
      if (!deleted) states.push('pending');
    } else {
      states.push('allocated');
      if ((status.reservedFor ?? []).length > 0) states.push('reserved');
    }
    return states.join(',');
  }),
  ageColumn,
];

export const resourceSliceColumns: readonly Column<resourcev1.ResourceSlice>[] = [
  nameColumn,
  column('Node', 'string', 'The node of its devices.', (object) => object.spec?.nodeName ?? ''),
  column('Driver', 'string', 'The driver.', (object) => object.spec?.driver ?? ''),
  column('Pool', 'string', 'The pool.', (object) => object.spec?.pool?.name ?? ''),
  ageColumn,
];
