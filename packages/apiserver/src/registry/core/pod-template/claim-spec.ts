/** ValidatePersistentVolumeClaimSpec: of claims, and of the templates in ephemeral volumes and StatefulSets. */
import type { corev1 } from '@k8ts/api';
import {
  exceedsBytes,
  forbiddenField,
  invalidValue,
  isDNS1123Subdomain,
  nameIsDNSLabel,
  nameIsDNSSubdomain,
  notSupported,
  quantityOf,
  quantitySign,
  required,
  tooLong,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { messages, NOT_POSITIVE } from '../../field-rules.ts';

const ACCESS_MODES: readonly string[] = [
  'ReadOnlyMany',
  'ReadWriteMany',
  'ReadWriteOnce',
  'ReadWriteOncePod',
];
export const VOLUME_MODES: readonly string[] = ['Block', 'Filesystem'];

export function validateAccessModes(modes: readonly string[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const mode of modes)
    if (!ACCESS_MODES.includes(mode)) errors.push(notSupported(path, mode, ACCESS_MODES));
  if (
    modes.includes('ReadWriteOncePod') &&
    modes.some((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode))
  )
    errors.push(forbiddenField(path, 'may not use ReadWriteOncePod with other access modes'));
  return errors;
}

export function validateClaimSpec(
  spec: corev1.PersistentVolumeClaimSpec | undefined,
  path: string,
): FieldError[] {
  const {
    accessModes = [],
    selector,
    resources,
    storageClassName,
    volumeMode,
    dataSource,
    dataSourceRef,
  } = spec ?? {};
  const errors: FieldError[] = [];
  if (accessModes.length === 0)
    errors.push(required(`${path}.accessModes`, 'at least 1 access mode is required'));
  if (selector !== undefined) errors.push(...validateLabelSelector(selector, `${path}.selector`));
  errors.push(...validateAccessModes(accessModes, `${path}.accessModes`));
  const storage = resources?.requests?.['storage'];
  const at = `${path}.resources[storage]`;
  if (storage === undefined) errors.push(required(at, ''));
  else if (quantitySign(quantityOf(storage)) <= 0) errors.push(invalidValue(at, storage, NOT_POSITIVE));
  if (storageClassName)
    errors.push(
      ...messages(nameIsDNSSubdomain(storageClassName, false), storageClassName, `${path}.storageClassName`),
    );
  if (volumeMode !== undefined && !VOLUME_MODES.includes(volumeMode))
    errors.push(notSupported(`${path}.volumeMode`, volumeMode, VOLUME_MODES));
  if (dataSource !== undefined) errors.push(...validateDataSource(dataSource, `${path}.dataSource`));
  if (dataSourceRef !== undefined) {
    errors.push(...validateDataSource(dataSourceRef, `${path}.dataSourceRef`));
    const { namespace } = dataSourceRef;
    if (namespace) {
      errors.push(
        ...messages(nameIsDNSLabel(namespace, false), namespace, `${path}.dataSourceRef.namespace`),
      );
      if (dataSource !== undefined)
        errors.push(
          invalidValue(
            path,
            `${path}.dataSource`,
            'may not be specified when dataSourceRef.namespace is specified',
          ),
        );
    } else if (
      dataSource !== undefined &&
      (dataSource.apiGroup !== dataSourceRef.apiGroup ||
        dataSource.kind !== dataSourceRef.kind ||
        dataSource.name !== dataSourceRef.name)
    ) {
      errors.push(invalidValue(path, `${path}.dataSource`, 'must match dataSourceRef'));
    }
  }
  const attributes = spec?.volumeAttributesClassName;
  if (attributes)
    errors.push(
      ...messages(nameIsDNSSubdomain(attributes, false), attributes, `${path}.volumeAttributesClassName`),
    );
  return errors;
}

function validateDataSource(
  {
    apiGroup = '',
    kind = '',
    name = '',
  }: { readonly apiGroup?: string; readonly kind?: string; readonly name?: string },
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (name === '') errors.push(required(`${path}.name`, ''));
  if (kind === '') errors.push(required(`${path}.kind`, ''));
  if (apiGroup === '' && kind !== 'PersistentVolumeClaim')
    errors.push(
      invalidValue(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
    );
  if (apiGroup !== '') errors.push(...messages(isDNS1123Subdomain(apiGroup), apiGroup, `${path}.apiGroup`));
  return errors;
}

export function validateCsiDriverName(name: string, path: string): FieldError[] {
  if (name === '') return [required(path, '')];
  const errors = exceedsBytes(name, 63) ? [tooLong(path, 63)] : [];
  return [...errors, ...messages(isDNS1123Subdomain(name.toLowerCase()), name, path)];
}
