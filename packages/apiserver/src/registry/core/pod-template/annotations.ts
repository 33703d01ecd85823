/** Annotations of pods that mean something: mirror pods, deletion cost, and the profiles that have fields now. */
import type { corev1 } from '@k8ts/api';
import { forbiddenField, goQuote, invalidValue, key, type FieldError } from '@k8ts/apimachinery';
import { localDescendingPath } from './paths.ts';
import { validateTolerations } from './scheduling.ts';
import { containersWithPaths } from './walk.ts';

export const MIRROR_POD: string = 'kubernetes.io/config.mirror';
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const TOLERATIONS = 'scheduler.alpha.kubernetes.io/tolerations';
export const SECCOMP_POD: string = 'seccomp.security.alpha.kubernetes.io/pod';
export const SECCOMP_CONTAINER: string = 'container.seccomp.security.alpha.kubernetes.io/';
export const APP_ARMOR_CONTAINER: string = 'container.apparmor.security.beta.kubernetes.io/';

type Annotations = Readonly<Record<string, string>>;
interface Meta {
  readonly annotations?: Annotations;
}

export function validatePodAnnotations(meta: Meta, spec: corev1.PodSpec, path: string): FieldError[] {
  const { annotations } = meta;
  if (annotations === undefined) return [];
  const errors: FieldError[] = [];
  const mirror = annotations[MIRROR_POD];
  if (mirror !== undefined && !spec.nodeName)
    errors.push(
      invalidValue(key(path, MIRROR_POD), mirror, 'must set spec.nodeName if mirror pod annotation is set'),
    );
  if (annotations[TOLERATIONS]) errors.push(...validateTolerationsAnnotation(annotations[TOLERATIONS], path));
  const cost = annotations[DELETION_COST];
  if (cost !== undefined && !isDeletionCost(cost))
    errors.push(invalidValue(key(path, DELETION_COST), cost, 'must be a 32bit integer'));
  const names = new Set([...containersWithPaths(spec, '')].map(([container]) => container.name));
  for (const [name, value] of Object.entries(annotations)) {
    if (name === SECCOMP_POD || name.startsWith(SECCOMP_CONTAINER))
      errors.push(...validateSeccompName(value, `${path}.${name}`));
    if (!name.startsWith(APP_ARMOR_CONTAINER)) continue;
    const container = name.slice(APP_ARMOR_CONTAINER.length);
    if (!names.has(container)) errors.push(invalidValue(key(path, name), container, 'container not found'));
    if (
      value !== '' &&
      value !== 'runtime/default' &&
      value !== 'unconfined' &&
      !value.startsWith('localhost/')
    )
      errors.push(invalidValue(key(path, name), value, `invalid AppArmor profile name: ${goQuote(value)}`));
  }
  return errors;
}

/** No plus sign, no leading zeros, 32 bits. */
function isDeletionCost(text: string): boolean {
  if (!/^(?:0|-?[1-9][0-9]{0,9})$/.test(text)) return false;
  const value = Number(text);
  return value >= -(2 ** 31) && value < 2 ** 31;
}

function validateTolerationsAnnotation(text: string, path: string): FieldError[] {
  try {
    const tolerations = JSON.parse(text) as unknown;
    if (Array.isArray(tolerations))
      return validateTolerations(tolerations as corev1.Toleration[], `${path}.${TOLERATIONS}`);
  } catch {
    // said below
  }
  return [invalidValue(path, TOLERATIONS, 'invalid JSON: a list of tolerations is expected')];
}

function validateSeccompName(value: string, path: string): FieldError[] {
  if (value === 'runtime/default' || value === 'docker/default' || value === 'unconfined') return [];
  if (value.startsWith('localhost/')) return localDescendingPath(value.slice('localhost/'.length), path);
  return [invalidValue(path, value, 'must be a valid seccomp profile')];
}

export function validatePodAnnotationsUpdate(next: Meta, old: Meta, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const [after, before] = [next.annotations ?? {}, old.annotations ?? {}];
  for (const [name, value] of Object.entries(before)) {
    if (after[name] === value) continue;
    if (name.startsWith(APP_ARMOR_CONTAINER))
      errors.push(forbiddenField(key(path, name), 'may not remove or update AppArmor annotations'));
    if (name === MIRROR_POD)
      errors.push(forbiddenField(key(path, name), 'may not remove or update mirror pod annotation'));
  }
  for (const name of Object.keys(after)) {
    if (Object.hasOwn(before, name)) continue;
    if (name.startsWith(APP_ARMOR_CONTAINER))
      errors.push(forbiddenField(key(path, name), 'may not add AppArmor annotations'));
    if (name === MIRROR_POD)
      errors.push(forbiddenField(key(path, name), 'may not add mirror pod annotation'));
  }
  return errors;
}

interface Profile {
  readonly type?: string;
  readonly localhostProfile?: string;
}

/** Where a profile is given by annotation and by field, both must say the same. */
function mustMatch(
  what: string,
  annotation: string | undefined,
  profile: Profile | undefined,
  path: string,
): FieldError[] {
  if (annotation === undefined || profile === undefined) return [];
  const typeError = [forbiddenField(`${path}.type`, `${what} type in annotation and field must match`)];
  const isDefault =
    annotation === 'runtime/default' || (what === 'seccomp' && annotation === 'docker/default');
  switch (profile.type) {
    case 'Unconfined':
      return annotation === 'unconfined' ? [] : typeError;
    case 'RuntimeDefault':
      return isDefault ? [] : typeError;
    case 'Localhost':
      if (!annotation.startsWith('localhost/')) return typeError;
      return annotation.slice('localhost/'.length) === profile.localhostProfile
        ? []
        : [forbiddenField(`${path}.localhostProfile`, `${what} profile in annotation and field must match`)];
    default:
      return [];
  }
}

export function validateProfileAnnotations(meta: Meta, spec: corev1.PodSpec, path: string): FieldError[] {
  const { annotations } = meta;
  if (annotations === undefined) return [];
  const pod = spec.securityContext;
  const errors = mustMatch(
    'seccomp',
    annotations[SECCOMP_POD],
    pod?.seccompProfile,
    `${path}.securityContext.seccompProfile`,
  );
  for (const [{ name, securityContext: own }, at] of containersWithPaths(spec, path))
    errors.push(
      ...mustMatch(
        'seccomp',
        annotations[`${SECCOMP_CONTAINER}${name}`],
        own?.seccompProfile,
        `${at}.securityContext.seccompProfile`,
      ),
    );
  if (spec.os?.name === 'windows') return errors;
  for (const [{ name, securityContext: own }, at] of containersWithPaths(spec, path))
    errors.push(
      ...mustMatch(
        'apparmor',
        annotations[`${APP_ARMOR_CONTAINER}${name}`],
        own?.appArmorProfile ?? pod?.appArmorProfile,
        `${at}.securityContext.appArmorProfile`,
      ),
    );
  return errors;
}
