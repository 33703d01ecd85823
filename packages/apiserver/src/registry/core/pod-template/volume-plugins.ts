/** Rules of the volume plugins for storage systems. k8ts mounts few of them; the objects are checked as Kubernetes does. */
import { isIP } from 'node:net';
import type { corev1 } from '@k8ts/api';
import { invalidValue, key, notSupported, rangeMessage, required, type FieldError } from '@k8ts/apimachinery';
import { dnsLabel } from '../../field-rules.ts';

type Source<K extends keyof corev1.VolumeSource> = NonNullable<corev1.VolumeSource[K]>;

/** Fields that must not be empty. */
function needed(source: object, fields: readonly string[], path: string): FieldError[] {
  return fields
    .filter((field) => {
      const value = (source as Record<string, unknown>)[field];
      return value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
    })
    .map((field) => required(`${path}.${field}`, ''));
}

function partition(value: number | undefined, path: string): FieldError[] {
  return value !== undefined && (value < 0 || value > 255)
    ? [invalidValue(path, value, rangeMessage(1, 255))]
    : [];
}

export function validateGcePersistentDisk(disk: Source<'gcePersistentDisk'>, path: string): FieldError[] {
  return [...needed(disk, ['pdName'], path), ...partition(disk.partition, `${path}.partition`)];
}

export function validateAwsElasticBlockStore(
  disk: Source<'awsElasticBlockStore'>,
  path: string,
): FieldError[] {
  return [...needed(disk, ['volumeID'], path), ...partition(disk.partition, `${path}.partition`)];
}

export function validateNfs(nfs: Source<'nfs'>, path: string): FieldError[] {
  const errors = needed(nfs, ['server', 'path'], path);
  if (!(nfs.path ?? '').startsWith('/'))
    errors.push(invalidValue(`${path}.path`, nfs.path ?? '', 'must be an absolute path'));
  return errors;
}

const INITIATORS: Readonly<Record<string, RegExp>> = {
  iqn: /iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+$/,
  eui: /^eui.[A-Za-z0-9]{16}$/,
  naa: /^naa.[A-Za-z0-9]{32}$/,
};

function initiator(value: string, path: string): FieldError[] {
  const pattern = INITIATORS[value.slice(0, 3)];
  if (pattern === undefined)
    return [invalidValue(path, value, 'must be valid format starting with iqn, eui, or naa')];
  return value.length <= 1024 && pattern.test(value)
    ? []
    : [invalidValue(path, value, 'must be valid format')];
}

export function validateIscsi(iscsi: Source<'iscsi'>, path: string): FieldError[] {
  const errors = needed(iscsi, ['targetPortal', 'iqn'], path);
  if (iscsi.iqn) errors.push(...initiator(iscsi.iqn, `${path}.iqn`));
  const { lun = 0 } = iscsi;
  if (lun < 0 || lun > 255) errors.push(invalidValue(`${path}.lun`, lun, rangeMessage(0, 255)));
  if ((iscsi.chapAuthDiscovery || iscsi.chapAuthSession) && iscsi.secretRef === undefined)
    errors.push(required(`${path}.secretRef`, ''));
  if (iscsi.initiatorName !== undefined)
    errors.push(...initiator(iscsi.initiatorName, `${path}.initiatorname`));
  return errors;
}

export function validateFc({ targetWWNs = [], wwids = [], lun }: Source<'fc'>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (targetWWNs.length === 0 && wwids.length === 0)
    errors.push(required(`${path}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'));
  if (targetWWNs.length > 0 && wwids.length > 0)
    errors.push(
      invalidValue(
        `${path}.targetWWNs`,
        targetWWNs,
        'targetWWNs and wwids can not be specified simultaneously',
      ),
    );
  if (targetWWNs.length > 0) {
    if (lun === undefined) errors.push(required(`${path}.lun`, 'lun is required if targetWWNs is specified'));
    else if (lun < 0 || lun > 255) errors.push(invalidValue(`${path}.lun`, lun, rangeMessage(0, 255)));
  }
  return errors;
}

const HOST_PORTS = 'must be a host:port pair or multiple pairs separated by commas';

function isHostPort(text: string): boolean {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):[^:]*$/.exec(text);
  return match !== null && (match[1] === undefined || isIP(match[1]) !== 0 || match[1] !== '');
}

export function validateQuobyte(quobyte: Source<'quobyte'>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { registry = '', tenant = '' } = quobyte;
  if (registry === '') errors.push(required(`${path}.registry`, HOST_PORTS));
  else if (tenant.length >= 65)
    errors.push(required(`${path}.tenant`, 'must be a UUID and may not exceed a length of 64 characters'));
  else
    for (const pair of registry.split(','))
      if (!isHostPort(pair)) errors.push(invalidValue(`${path}.registry`, registry, HOST_PORTS));
  return [...errors, ...needed(quobyte, ['volume'], path)];
}

export function validateFlocker(
  { datasetName = '', datasetUUID = '' }: Source<'flocker'>,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (datasetName === '' && datasetUUID === '')
    errors.push(required(path, 'one of datasetName and datasetUUID is required'));
  if (datasetName !== '' && datasetUUID !== '')
    errors.push(
      invalidValue(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'),
    );
  if (datasetName.includes('/'))
    errors.push(invalidValue(`${path}.datasetName`, datasetName, "must not contain '/'"));
  return errors;
}

export function validateFlexVolume(volume: Source<'flexVolume'>, path: string): FieldError[] {
  const errors = needed(volume, ['driver'], path);
  for (const option of Object.keys(volume.options ?? {})) {
    const namespace = `.${(option.split('/')[0] as string).toLowerCase()}`;
    if (namespace.endsWith('.kubernetes.io') || namespace.endsWith('.k8s.io'))
      errors.push(
        invalidValue(
          key(`${path}.options`, option),
          option,
          'kubernetes.io and k8s.io namespaces are reserved',
        ),
      );
  }
  return errors;
}

export function validateAzureDisk(disk: Source<'azureDisk'>, path: string): FieldError[] {
  const errors = needed(disk, ['diskName', 'diskURI'], path);
  const { cachingMode, kind, diskURI = '' } = disk;
  const modes = ['None', 'ReadOnly', 'ReadWrite'];
  const kinds = ['Dedicated', 'Managed', 'Shared'];
  if (cachingMode !== undefined && !modes.includes(cachingMode))
    errors.push(notSupported(`${path}.cachingMode`, cachingMode, modes));
  if (kind !== undefined && !kinds.includes(kind)) errors.push(notSupported(`${path}.kind`, kind, kinds));
  if (kind === 'Managed' && !diskURI.startsWith('/subscriptions/'))
    errors.push(
      notSupported(`${path}.diskURI`, diskURI, [
        '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}',
      ]),
    );
  if (kind !== undefined && kind !== 'Managed' && !diskURI.startsWith('https://'))
    errors.push(
      notSupported(`${path}.diskURI`, diskURI, [
        'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd',
      ]),
    );
  return errors;
}

export function validateStorageOs(storage: Source<'storageos'>, path: string): FieldError[] {
  const { volumeName = '', volumeNamespace = '' } = storage;
  const errors =
    volumeName === '' ? [required(`${path}.volumeName`, '')] : dnsLabel(volumeName, `${path}.volumeName`);
  if (volumeNamespace !== '') errors.push(...dnsLabel(volumeNamespace, `${path}.volumeNamespace`));
  return [...errors, ...secretName(storage.secretRef, path)];
}

function secretName(reference: { readonly name?: string } | undefined, path: string): FieldError[] {
  return reference !== undefined && !reference.name ? [required(`${path}.secretRef.name`, '')] : [];
}

export function validateCinder(volume: Source<'cinder'>, path: string): FieldError[] {
  return [...needed(volume, ['volumeID'], path), ...secretName(volume.secretRef, path)];
}

/** Plugins that need some fields and nothing more. */
const NEEDED_FIELDS: Readonly<Partial<Record<keyof corev1.VolumeSource, readonly string[]>>> = {
  glusterfs: ['endpoints', 'path'],
  rbd: ['monitors', 'image'],
  cephfs: ['monitors'],
  azureFile: ['secretName', 'shareName'],
  vsphereVolume: ['volumePath'],
  photonPersistentDisk: ['pdID'],
  portworxVolume: ['volumeID'],
  scaleIO: ['gateway', 'system', 'volumeName'],
  persistentVolumeClaim: ['claimName'],
};

export function validateNeededFields(
  kind: keyof corev1.VolumeSource,
  source: object,
  path: string,
): FieldError[] {
  return needed(source, NEEDED_FIELDS[kind] ?? [], path);
}
