import { corev1, storagev1 } from '@k8ts/api';
import {
  compareQuantities,
  isAlreadyExists,
  isNotFound,
  parseQuantity,
  PROVISIONED_BY,
  PROVISIONER_FINALIZER,
  SELECTED_NODE,
  STORAGE_PROVISIONER,
  storageCapacity,
  storageClassOf,
} from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { identityOf } from '../object-identity.ts';
import { eventsRule, rule } from '../permissions.ts';
import { claimKey, volumeKey } from './binder.ts';
import type { Claim, Volume } from './binder.ts';
import { wantsMore } from './expansion.ts';

/** What classes name as their provisioner. */
export const LOCAL_PATH_PROVISIONER = 'k8ts.io/local-path';
/** Tells that a provisioner makes and deletes volumes on the node of that name. */
const HOSTNAME = 'kubernetes.io/hostname';

/** Where the volumes of a node lie. */
export interface VolumeDirectories {
  /** Whether the volumes of this node are here. */
  readonly serves: (node: string) => boolean;
  /** The absolute path of a volume that is called `name`; throws for a name that a provisioner does not give. */
  readonly path: (name: string) => string;
  /** Makes the directory of a volume, empty and for everybody to write; twice is harmless. */
  readonly make: (name: string) => Promise<void>;
  /** Removes it with all that is in it; twice is harmless. */
  readonly remove: (name: string) => Promise<void>;
  /** Removes what is empty and `isKnown` does not know: a process ended after making it, before saying so. */
  readonly sweep: (isKnown: (name: string) => boolean) => Promise<void>;
}

/**
 * Makes volumes of directories on the nodes that it serves, as an external provisioner does: for claims that the scheduler
 * has chosen such a node for. It runs beside the kubelet of the node, since nobody else reaches the node's disk.
 */
export function localPathProvisioner(directories: VolumeDirectories): ControllerDefinition {
  return {
    name: 'local-path-provisioner',
    account: undefined, // whoever runs it gives it an identity of its own
    permissions: localPathPermissions,
    queue: 'local-path',
    workers: 2,
    maxRetries: undefined,
    eventSource: LOCAL_PATH_PROVISIONER,
    create: (context) => createProvisioner(context, directories),
  };
}

/** As the role of sig-storage's external provisioners. */
export const localPathPermissions: ControllerDefinition['permissions'] = [
  rule(['get', 'list', 'watch', 'create', 'update', 'delete'], [''], ['persistentvolumes']),
  rule(['update'], [''], ['persistentvolumes/status']),
  rule(['get', 'list', 'watch', 'update'], [''], ['persistentvolumeclaims']),
  rule(['update'], [''], ['persistentvolumeclaims/status']),
  rule(['get', 'list', 'watch'], [''], ['nodes']),
  rule(['get', 'list', 'watch'], ['storage.k8s.io'], ['storageclasses']),
  eventsRule,
];

function createProvisioner(context: ControllerContext, directories: VolumeDirectories): Controller {
  const { client, informers, queue, recorder, logger } = context;
  const claims = informers.of(corev1.persistentVolumeClaims);
  const volumes = informers.of(corev1.persistentVolumes);
  const classes = informers.of(storagev1.storageClasses).lister;
  const nodes = informers.of(corev1.nodes).lister;
  const sayOfClaim = (claim: Claim, type: 'Normal' | 'Warning', reason: string, message: string): void =>
    recorder.event(identityOf(claim, corev1.persistentVolumeClaims), type, reason, message);

  claims.addIndex(BY_VOLUME, (claim) => [volumeNameFor(claim)]);
  claims.addHandler({
    added: (claim) => queue.add(claimKey(objectKey(claim))),
    updated: (claim) => queue.add(claimKey(objectKey(claim))),
  });
  volumes.addHandler({
    added: ({ metadata }) => queue.add(volumeKey(metadata.name)),
    updated: ({ metadata }) => queue.add(volumeKey(metadata.name)),
  });

  async function provision(claim: Claim): Promise<void> {
    const { annotations = {} } = claim.metadata;
    if ((claim.spec.volumeName ?? '') !== '' || claim.metadata.deletionTimestamp !== undefined) return;
    if (annotations[STORAGE_PROVISIONER] !== LOCAL_PATH_PROVISIONER) return;
    const nodeName = annotations[SELECTED_NODE];
    if (nodeName === undefined || !directories.serves(nodeName)) return;
    const storageClass = classes.byKey(storageClassOf(claim));
    if (storageClass === undefined || storageClass.provisioner !== LOCAL_PATH_PROVISIONER) return;
    const name = volumeNameFor(claim);
    if (volumes.lister.byKey(name) !== undefined) return;
    const problem = unsupported(claim);
    const hostname = nodes.byKey(nodeName)?.metadata.labels?.[HOSTNAME];
    if (problem !== undefined || hostname === undefined) {
      const reason = problem ?? `node "${nodeName}" not found`;
      const message = `failed to provision volume with StorageClass "${storageClass.metadata.name}": ${reason}`;
      sayOfClaim(claim, 'Warning', 'ProvisioningFailed', message);
      if (problem === undefined) await chooseAnew(claim);
      return;
    }
    const started = `External provisioner is provisioning volume for claim "${objectKey(claim)}"`;
    sayOfClaim(claim, 'Normal', 'Provisioning', started);
    try {
      await directories.make(name);
    } catch (error) {
      const message = `failed to provision volume with StorageClass "${storageClass.metadata.name}": ${errorMessage(error)}`;
      sayOfClaim(claim, 'Warning', 'ProvisioningFailed', message);
      await chooseAnew(claim);
      return;
    }
    const volume = volumeFor(claim, storageClass, { name, path: directories.path(name), hostname });
    try {
      await client.resource(corev1.persistentVolumes).create(volume);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    sayOfClaim(claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`);
  }

  /** A directory holds what the disk holds: its capacity is a number. The volume first, as resizers do. */
  async function expand(claim: Claim): Promise<void> {
    const volume = volumes.lister.byKey(claim.spec.volumeName ?? '');
    const request = claim.spec.resources?.requests?.['storage'];
    if (volume === undefined || request === undefined || !isOurs(volume)) return;
    if (volume.spec?.claimRef?.uid !== claim.metadata.uid) return;
    if (compareQuantities(storageCapacity(volume), parseQuantity(request)) < 0)
      await client.resource(corev1.persistentVolumes).update({
        ...volume,
        spec: { ...volume.spec, capacity: { ...volume.spec?.capacity, storage: request } },
      });
    await client.resource(corev1.persistentVolumeClaims, claim.metadata.namespace).updateStatus({
      ...claim,
      status: { ...claim.status, capacity: { ...claim.status?.capacity, storage: request } },
    });
    sayOfClaim(claim, 'Normal', 'FileSystemResizeSuccessful', 'Resize volume succeeded');
  }

  const isOurs = (volume: Volume): boolean =>
    volume.metadata.annotations?.[PROVISIONED_BY] === LOCAL_PATH_PROVISIONER &&
    nodeNamesOf(volume, nodes.list()).some(directories.serves);

  /** The node cannot have the volume: the scheduler is to look for another one. */
  async function chooseAnew(claim: Claim): Promise<void> {
    const { [SELECTED_NODE]: _node, ...annotations } = claim.metadata.annotations ?? {};
    const api = client.resource(corev1.persistentVolumeClaims, claim.metadata.namespace);
    await api.update({ ...claim, metadata: { ...claim.metadata, annotations } });
  }

  /** The claim is gone: so is the data, then the volume; wherever this stops, it can be done again. */
  async function remove(volume: Volume): Promise<void> {
    if (!isOurs(volume)) return;
    const { name, finalizers = [], deletionTimestamp } = volume.metadata;
    const { persistentVolumeReclaimPolicy, local } = volume.spec ?? {};
    const phase = volume.status?.phase;
    if (persistentVolumeReclaimPolicy !== 'Delete' || (phase !== 'Released' && phase !== 'Failed')) return;
    const isLeaving = deletionTimestamp !== undefined;
    if (isLeaving && !finalizers.includes(PROVISIONER_FINALIZER)) return;
    const api = client.resource(corev1.persistentVolumes);
    try {
      // Whoever may write volumes could name any path, and have it emptied: only a volume's own directory goes.
      if (local?.path !== directories.path(name))
        throw new Error('the volume is not where the provisioner makes its volumes');
      await directories.remove(name);
    } catch (error) {
      recorder.event(
        identityOf(volume, corev1.persistentVolumes),
        'Warning',
        'VolumeFailedDelete',
        errorMessage(error),
      );
      if (phase !== 'Failed')
        await api.updateStatus({
          ...volume,
          status: { ...volume.status, phase: 'Failed', message: errorMessage(error) },
        });
      throw error;
    }
    try {
      if (!isLeaving) await api.delete(name);
      const now = await api.get(name);
      await api.update({
        ...now,
        metadata: {
          ...now.metadata,
          finalizers: (now.metadata.finalizers ?? []).filter((each) => each !== PROVISIONER_FINALIZER),
        },
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return {
    async reconcile(key) {
      const colon = key.indexOf(':');
      const [kind, name] = [key.slice(0, colon), key.slice(colon + 1)];
      if (kind === 'claim') {
        const claim = claims.lister.byKey(name);
        if (claim !== undefined) await (wantsMore(claim) ? expand(claim) : provision(claim));
      } else {
        const volume = volumes.lister.byKey(name);
        if (volume !== undefined) await remove(volume);
      }
    },
    async run() {
      // Once, at the start. Nothing is made for a claim before it is in the index.
      try {
        await directories.sweep(
          (name) =>
            claims.lister.byIndex(BY_VOLUME, name).length > 0 || volumes.lister.byKey(name) !== undefined,
        );
      } catch (error) {
        logger.warn('directories without a volume could not be removed', { error: errorMessage(error) });
      }
    },
  };
}

const BY_VOLUME = 'volume';
/** As all provisioners name them. */
const volumeNameFor = ({ metadata }: Claim): string => `pvc-${metadata.uid ?? ''}`;

function unsupported({ spec }: Claim): string | undefined {
  if (spec.selector !== undefined) return 'claim.Spec.Selector is not supported';
  if (spec.volumeMode === 'Block') return 'block volumes are not supported';
  if (spec.dataSource !== undefined || spec.dataSourceRef !== undefined)
    return 'data sources are not supported';
  const shared = spec.accessModes?.find((mode) => mode !== 'ReadWriteOnce' && mode !== 'ReadWriteOncePod');
  return shared === undefined
    ? undefined
    : 'NodePath only supports ReadWriteOnce and ReadWriteOncePod access modes';
}

function volumeFor(
  claim: Claim,
  { metadata, reclaimPolicy = 'Delete' }: storagev1.StorageClass,
  { name, path, hostname }: { readonly name: string; readonly path: string; readonly hostname: string },
): Volume {
  const { uid = '', namespace = '', resourceVersion = '' } = claim.metadata;
  const { accessModes = [], resources, volumeAttributesClassName } = claim.spec;
  const term = { matchExpressions: [{ key: HOSTNAME, operator: 'In', values: [hostname] }] } as const;
  return {
    metadata: {
      name,
      annotations: { [PROVISIONED_BY]: LOCAL_PATH_PROVISIONER },
      ...(reclaimPolicy === 'Delete' ? { finalizers: [PROVISIONER_FINALIZER] } : {}),
    },
    spec: {
      capacity: { storage: resources?.requests?.['storage'] ?? '0' },
      accessModes,
      persistentVolumeReclaimPolicy: reclaimPolicy,
      storageClassName: metadata.name,
      volumeMode: 'Filesystem',
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [term] } },
      ...(volumeAttributesClassName === undefined ? {} : { volumeAttributesClassName }),
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        namespace,
        name: claim.metadata.name,
        uid,
        resourceVersion,
      },
    },
  };
}

/** The nodes that a volume of ours is on; also by name, for a node that is not registered at the moment. */
function nodeNamesOf({ spec }: Volume, nodes: readonly corev1.Node[]): string[] {
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const hostnames = terms.flatMap(({ matchExpressions = [] }) =>
    matchExpressions.flatMap(({ key, values = [] }) => (key === HOSTNAME ? values : [])),
  );
  const named = nodes.filter(({ metadata }) => hostnames.includes(metadata.labels?.[HOSTNAME] ?? ''));
  return [...named.map(({ metadata }) => metadata.name), ...hostnames];
}
