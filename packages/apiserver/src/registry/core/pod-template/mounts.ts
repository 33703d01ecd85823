/** Volume mounts and block devices of a container. */
import type { corev1 } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  notFoundField,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { each } from '../../field-rules.ts';
import { localDescendingPath, pathWithoutBacksteps } from './paths.ts';
import type { AnyContainer } from './walk.ts';

/** The pod's valid volumes by name. */
export type Volumes = ReadonlyMap<string, corev1.Volume>;

/** pkg/apis/core/validation: ValidateVolumeMounts. */
export function validateVolumeMounts(container: AnyContainer, volumes: Volumes, path: string): FieldError[] {
  const devices = new Map((container.volumeDevices ?? []).map((device) => [device.name, device.devicePath]));
  const devicePaths = new Set(devices.values());
  const seen = new Set<string>();
  return each(container.volumeMounts, path, (mount, at) => {
    const errors: FieldError[] = [];
    const { name = '', mountPath = '', subPath = '', subPathExpr = '' } = mount;
    if (name === '') errors.push(required(`${at}.name`, ''));
    if (!volumes.has(name)) errors.push(notFoundField(`${at}.name`, name));
    if (mountPath === '') errors.push(required(`${at}.mountPath`, ''));
    if (seen.has(mountPath)) errors.push(invalidValue(`${at}.mountPath`, mountPath, 'must be unique'));
    seen.add(mountPath);
    if (devices.has(name))
      errors.push(invalidValue(`${at}.name`, name, 'must not already exist in volumeDevices'));
    if (devicePaths.has(mountPath))
      errors.push(
        invalidValue(`${at}.mountPath`, mountPath, 'must not already exist as a path in volumeDevices'),
      );
    // Upstream names these three without the position.
    if (subPath !== '') errors.push(...localDescendingPath(subPath, `${path}.subPath`));
    if (subPathExpr !== '') {
      if (subPath !== '')
        errors.push(
          invalidValue(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'),
        );
      errors.push(...localDescendingPath(subPathExpr, `${path}.subPathExpr`));
    }
    errors.push(...validatePropagation(mount, container, `${path}.mountPropagation`));
    errors.push(...validateRecursiveReadOnly(mount, `${path}.recursiveReadOnly`));
    return errors;
  });
}

function validatePropagation(mount: corev1.VolumeMount, container: AnyContainer, path: string): FieldError[] {
  const propagation = mount.mountPropagation;
  if (propagation === undefined) return [];
  const allowed = ['Bidirectional', 'HostToContainer', 'None'];
  const errors = allowed.includes(propagation) ? [] : [notSupported(path, propagation, allowed)];
  if (propagation === 'Bidirectional' && container.securityContext?.privileged !== true)
    errors.push(
      forbiddenField(path, 'Bidirectional mount propagation is available only to privileged containers'),
    );
  return errors;
}

function validateRecursiveReadOnly(mount: corev1.VolumeMount, path: string): FieldError[] {
  const mode: string | undefined = mount.recursiveReadOnly;
  if (mode === undefined || mode === 'Disabled') return [];
  if (mode !== 'Enabled' && mode !== 'IfPossible')
    return [notSupported(path, mode, ['Disabled', 'Enabled', 'IfPossible'])];
  const errors: FieldError[] = [];
  if (mount.readOnly !== true)
    errors.push(forbiddenField(path, 'may only be specified when readOnly is true'));
  if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None')
    errors.push(forbiddenField(path, 'may only be specified when mountPropagation is None or not specified'));
  return errors;
}

/** pkg/apis/core/validation: ValidateVolumeDevices. */
export function validateVolumeDevices(container: AnyContainer, volumes: Volumes, path: string): FieldError[] {
  const mounts = new Map((container.volumeMounts ?? []).map((mount) => [mount.name, mount.mountPath]));
  const mountPaths = new Set(mounts.values());
  const paths = new Set<string>();
  const names = new Set<string>();
  return each(container.volumeDevices, path, ({ name = '', devicePath = '' }, at) => {
    const errors: FieldError[] = [];
    const volume = volumes.get(name);
    if (name === '') errors.push(required(`${at}.name`, ''));
    if (names.has(name)) errors.push(invalidValue(`${at}.name`, name, 'must be unique'));
    if (volume === undefined) errors.push(notFoundField(`${at}.name`, name));
    else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined)
      errors.push(
        invalidValue(
          `${at}.name`,
          name,
          'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        ),
      );
    if (devicePath === '') errors.push(required(`${at}.devicePath`, ''));
    if (paths.has(devicePath)) errors.push(invalidValue(`${at}.devicePath`, devicePath, 'must be unique'));
    if (devicePath !== '' && pathWithoutBacksteps(devicePath, '').length > 0)
      errors.push(invalidValue(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    else paths.add(devicePath);
    if (mounts.has(name))
      errors.push(invalidValue(`${at}.name`, name, 'must not already exist in volumeMounts'));
    if (mountPaths.has(devicePath))
      errors.push(
        invalidValue(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'),
      );
    if (name !== '') names.add(name);
    return errors;
  });
}
