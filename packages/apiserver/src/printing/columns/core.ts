/** Columns of the core group's kinds, after upstream's pkg/printers/internalversion/printers.go. */
import type { corev1 } from '@k8ts/api';
import type { Column } from '../contract.ts';
import {
  ageColumn,
  atMost,
  column,
  formatLabels,
  NAME_DESCRIPTION,
  nameColumn,
  templateColumns,
  wideColumn,
} from '../cells.ts';
import { timeSince } from '../human-duration.ts';

export const namespaceColumns: readonly Column<corev1.Namespace>[] = [
  nameColumn,
  column('Status', 'string', 'Active or terminating.', (object) => object.status?.phase ?? ''),
  ageColumn,
];

export const secretColumns: readonly Column<corev1.Secret>[] = [
  nameColumn,
  column('Type', 'string', 'What the secret is used for.', (object) => object.type ?? ''),
  column('Data', 'string', 'How many values it holds.', (object) => Object.keys(object.data ?? {}).length),
  ageColumn,
];

export const configMapColumns: readonly Column<corev1.ConfigMap>[] = [
  nameColumn,
  column(
    'Data',
    'string',
    'How many values it holds.',
    (object) => Object.keys(object.data ?? {}).length + Object.keys(object.binaryData ?? {}).length,
  ),
  ageColumn,
];

export const serviceAccountColumns: readonly Column<corev1.ServiceAccount>[] = [nameColumn, ageColumn];

export const podTemplateColumns: readonly Column<corev1.PodTemplate>[] = [
  nameColumn,
  ...templateColumns<corev1.PodTemplate>((object) => object.template).map((each) => ({
    ...each,
    priority: 0,
  })),
  column('Pod Labels', 'string', 'Labels that the pods will have.', (object) =>
    formatLabels(object.template?.metadata?.labels),
  ),
];

export const replicationControllerColumns: readonly Column<corev1.ReplicationController>[] = [
  nameColumn,
  column('Desired', 'integer', 'How many pods are wanted.', (object) => object.spec?.replicas ?? 0),
  column('Current', 'integer', 'How many pods there are.', (object) => object.status?.replicas ?? 0),
  column('Ready', 'integer', 'How many pods are ready.', (object) => object.status?.readyReplicas ?? 0),
  ageColumn,
  ...templateColumns<corev1.ReplicationController>((object) => object.spec?.template),
  wideColumn('Selector', 'string', 'Labels of the pods that belong to it.', (object) =>
    formatLabels(object.spec?.selector),
  ),
];

function externalAddresses(service: corev1.Service): string {
  const { type = 'ClusterIP', externalIPs = [], externalName = '' } = service.spec ?? {};
  if (type === 'ExternalName') return externalName;
  if (type !== 'LoadBalancer') {
    if (type !== 'ClusterIP' && type !== 'NodePort') return '<unknown>';
    return externalIPs.length > 0 ? externalIPs.join(',') : '<none>';
  }
  const all = [...loadBalancerAddresses(service.status?.loadBalancer?.ingress), ...externalIPs];
  return all.length > 0 ? all.join(',') : '<pending>';
}

/** Sorted, each once. */
export function loadBalancerAddresses(
  ingress: readonly { readonly ip?: string; readonly hostname?: string }[] | undefined,
): string[] {
  const addresses = new Set<string>();
  for (const { ip, hostname } of ingress ?? []) {
    const address = ip || hostname;
    if (address) addresses.add(address);
  }
  return [...addresses].sort();
}

function portText({ port, nodePort = 0, protocol = 'TCP' }: corev1.ServicePort): string {
  return nodePort > 0 ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`;
}

export const serviceColumns: readonly Column<corev1.Service>[] = [
  nameColumn,
  column('Type', 'string', 'How the service is exposed.', (object) => object.spec?.type ?? ''),
  column(
    'Cluster-IP',
    'string',
    'Address inside the cluster.',
    (object) => object.spec?.clusterIPs?.[0] ?? '<none>',
  ),
  column('External-IP', 'string', 'Addresses outside the cluster.', externalAddresses),
  column('Port(s)', 'string', 'Ports of the service, with the port on each node.', (object) => {
    const ports = object.spec?.ports ?? [];
    return ports.length === 0 ? '<none>' : ports.map(portText).join(',');
  }),
  ageColumn,
  wideColumn('Selector', 'string', 'Labels of the pods behind it.', (object) =>
    formatLabels(object.spec?.selector),
  ),
];

function endpointAddresses({ subsets = [] }: corev1.Endpoints): string {
  if (subsets.length === 0) return '<none>';
  const list: string[] = [];
  for (const { addresses = [], ports = [] } of subsets) {
    if (ports.length === 0) for (const { ip } of addresses) list.push(ip);
    for (const { port } of ports) for (const { ip } of addresses) list.push(hostAndPort(ip, port));
  }
  return atMost(list, 3);
}

function hostAndPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

export const endpointsColumns: readonly Column<corev1.Endpoints>[] = [
  nameColumn,
  column('Endpoints', 'string', 'Addresses and ports that accept connections.', endpointAddresses),
  ageColumn,
];

function nodeStatus(node: corev1.Node): string {
  const ready = (node.status?.conditions ?? []).findLast((condition) => condition.type === 'Ready');
  const status = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable === true ? `${status},SchedulingDisabled` : status;
}

const ROLE_PREFIX = 'node-role.kubernetes.io/';

function nodeRoles(node: corev1.Node): string {
  const roles = new Set<string>();
  for (const [label, value] of Object.entries(node.metadata.labels ?? {})) {
    if (label.startsWith(ROLE_PREFIX) && label.length > ROLE_PREFIX.length)
      roles.add(label.slice(ROLE_PREFIX.length));
    else if (label === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return roles.size === 0 ? '<none>' : [...roles].sort().join(',');
}

function nodeAddress(node: corev1.Node, type: string): string {
  return (node.status?.addresses ?? []).find((address) => address.type === type)?.address ?? '<none>';
}

export const nodeColumns: readonly Column<corev1.Node>[] = [
  nameColumn,
  column('Status', 'string', 'Whether it is ready and takes pods.', nodeStatus),
  column('Roles', 'string', 'What it is used for.', nodeRoles),
  ageColumn,
  column(
    'Version',
    'string',
    "The kubelet's version.",
    (object) => object.status?.nodeInfo?.kubeletVersion ?? '',
  ),
  wideColumn('Internal-IP', 'string', 'Address in the nodes’ network.', (object) =>
    nodeAddress(object, 'InternalIP'),
  ),
  wideColumn('External-IP', 'string', 'Address reachable from outside.', (object) =>
    nodeAddress(object, 'ExternalIP'),
  ),
  wideColumn(
    'OS-Image',
    'string',
    'The operating system.',
    (object) => object.status?.nodeInfo?.osImage || '<unknown>',
  ),
  wideColumn('Kernel-Version', 'string', 'The kernel and its architecture.', (object) => {
    const { kernelVersion, architecture } = object.status?.nodeInfo ?? {};
    return `${kernelVersion || '<unknown>'}${architecture ? ` (${architecture})` : ''}`;
  }),
  wideColumn(
    'Container-Runtime',
    'string',
    'The container runtime and its version.',
    (object) => object.status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
  ),
];

function eventFirstSeen(event: corev1.Event, now: number): string {
  return timeSince(event.firstTimestamp || event.eventTime, now);
}

function eventLastSeen(event: corev1.Event, now: number): string {
  if (event.series !== undefined) return timeSince(event.series.lastObservedTime, now);
  return event.lastTimestamp ? timeSince(event.lastTimestamp, now) : eventFirstSeen(event, now);
}

function eventObject({ involvedObject }: corev1.Event): string {
  const kind = (involvedObject?.kind ?? '').toLowerCase();
  return involvedObject?.name ? `${kind}/${involvedObject.name}` : kind;
}

function eventSource(event: corev1.Event): string {
  const component = event.source?.component || event.reportingComponent || '';
  const instance = event.source?.host || event.reportingInstance || '';
  return instance === '' ? component : `${component}, ${instance}`;
}

export const eventColumns: readonly Column<corev1.Event>[] = [
  column('Last Seen', 'string', 'When it was observed last.', eventLastSeen),
  column('Type', 'string', 'Normal or Warning.', (object) => object.type ?? ''),
  column('Reason', 'string', 'Why it happened, in one word.', (object) => object.reason ?? ''),
  column('Object', 'string', 'The object it is about.', eventObject),
  wideColumn(
    'Subobject',
    'string',
    'The part of the object it is about.',
    (object) => object.involvedObject?.fieldPath ?? '',
  ),
  wideColumn('Source', 'string', 'Who reported it.', eventSource),
  column('Message', 'string', 'What happened.', (object) => (object.message ?? '').trim()),
  wideColumn('First Seen', 'string', 'When it was observed first.', eventFirstSeen),
  wideColumn(
    'Count',
    'string',
    'How often it was observed.',
    (object) => object.series?.count ?? (object.count || 1),
  ),
  {
    name: 'Name',
    type: 'string',
    format: 'name',
    description: NAME_DESCRIPTION,
    priority: 1,
    cell: (object) => object.metadata.name,
  },
];

export const componentStatusColumns: readonly Column<corev1.ComponentStatus>[] = [
  nameColumn,
  column('Status', 'string', 'Whether the component is healthy.', (object) => {
    const healthy = (object.conditions ?? []).find((condition) => condition.type === 'Healthy');
    return healthy === undefined ? 'Unknown' : healthy.status === 'True' ? 'Healthy' : 'Unhealthy';
  }),
  column(
    'Message',
    'string',
    'What the component says.',
    (object) => (object.conditions ?? []).find((condition) => condition.type === 'Healthy')?.message ?? '',
  ),
  column(
    'Error',
    'string',
    'What went wrong.',
    (object) => (object.conditions ?? []).find((condition) => condition.type === 'Healthy')?.error ?? '',
  ),
];

function accessModesText(modes: readonly string[] | undefined): string {
  const short: readonly (readonly [string, string])[] = [
    ['ReadWriteOnce', 'RWO'],
    ['ReadOnlyMany', 'ROX'],
    ['ReadWriteMany', 'RWX'],
    ['ReadWriteOncePod', 'RWOP'],
  ];
  return short
    .filter(([mode]) => modes?.includes(mode))
    .map(([, text]) => text)
    .join(',');
}

const STORAGE_CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';

function storageClass(object: corev1.PersistentVolume | corev1.PersistentVolumeClaim): string {
  return object.metadata.annotations?.[STORAGE_CLASS_ANNOTATION] ?? object.spec?.storageClassName ?? '';
}

function volumePhase(object: corev1.PersistentVolume | corev1.PersistentVolumeClaim): string {
  return object.metadata.deletionTimestamp !== undefined ? 'Terminating' : (object.status?.phase ?? '');
}

export const persistentVolumeColumns: readonly Column<corev1.PersistentVolume>[] = [
  nameColumn,
  column('Capacity', 'string', 'How much it holds.', (object) => object.spec?.capacity?.['storage'] ?? '0'),
  column('Access Modes', 'string', 'How it can be mounted.', (object) =>
    accessModesText(object.spec?.accessModes),
  ),
  column(
    'Reclaim Policy',
    'string',
    'What happens to it once it is released.',
    (object) => object.spec?.persistentVolumeReclaimPolicy ?? '',
  ),
  column('Status', 'string', 'Available, bound, released or failed.', volumePhase),
  column('Claim', 'string', 'The claim that it is bound to.', ({ spec }) =>
    spec?.claimRef === undefined ? '' : `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}`,
  ),
  column('StorageClass', 'string', 'Class of the storage.', storageClass),
  column(
    'VolumeAttributesClass',
    'string',
    'Class of the volume’s attributes.',
    (object) => object.spec?.volumeAttributesClassName ?? '<unset>',
  ),
  column('Reason', 'string', 'Why it is in this state.', (object) => object.status?.reason ?? ''),
  ageColumn,
  wideColumn(
    'VolumeMode',
    'string',
    'File system or block device.',
    (object) => object.spec?.volumeMode ?? '<unset>',
  ),
];

export const persistentVolumeClaimColumns: readonly Column<corev1.PersistentVolumeClaim>[] = [
  nameColumn,
  column('Status', 'string', 'Pending, bound or lost.', volumePhase),
  column('Volume', 'string', 'The volume that it is bound to.', (object) => object.spec?.volumeName ?? ''),
  column('Capacity', 'string', 'How much the volume holds.', ({ spec, status }) =>
    spec?.volumeName ? (status?.capacity?.['storage'] ?? '0') : '',
  ),
  column('Access Modes', 'string', 'How the volume can be mounted.', ({ spec, status }) =>
    spec?.volumeName ? accessModesText(status?.accessModes) : '',
  ),
  column('StorageClass', 'string', 'Class of the storage.', storageClass),
  column(
    'VolumeAttributesClass',
    'string',
    'Class of the volume’s attributes.',
    (object) => object.spec?.volumeAttributesClassName ?? '<unset>',
  ),
  ageColumn,
  wideColumn(
    'VolumeMode',
    'string',
    'File system or block device.',
    (object) => object.spec?.volumeMode ?? '<unset>',
  ),
];

function quotaText(quota: corev1.ResourceQuota, limits: boolean): string {
  const { hard = {}, used = {} } = quota.status ?? {};
  return Object.keys(hard)
    .sort()
    .filter((name) => name.startsWith('limits.') === limits)
    .map((name) => `${name}: ${used[name] ?? '0'}/${hard[name]}`)
    .join(', ');
}

export const resourceQuotaColumns: readonly Column<corev1.ResourceQuota>[] = [
  nameColumn,
  column('Request', 'string', 'Amounts used and allowed.', (object) => quotaText(object, false)),
  column('Limit', 'string', 'Limits used and allowed.', (object) => quotaText(object, true)),
  ageColumn,
];
