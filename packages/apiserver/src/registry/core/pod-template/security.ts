/** Security contexts of pods and containers. */
import type { corev1 } from '@k8ts/api';
import {
  duplicate,
  exceedsBytes,
  invalidValue,
  isValidGroupID,
  isValidUserID,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from '@k8ts/apimachinery';
import { each, messages } from '../../field-rules.ts';
import { localDescendingPath } from './paths.ts';
import { validateWindowsOptions } from './windows.ts';

const PROFILE_TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined'];
const MAX_PROFILE_PATH = 4095;

function validateSeccompProfile(profile: corev1.SeccompProfile | undefined, path: string): FieldError[] {
  if (profile === undefined) return [];
  const { type, localhostProfile } = profile;
  const errors: FieldError[] = [];
  if (!type) errors.push(required(`${path}.type`, 'type is required when seccompProfile is set'));
  else if (!PROFILE_TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, PROFILE_TYPES));
  const at = `${path}.localhostProfile`;
  if (type === 'Localhost') {
    errors.push(
      ...(localhostProfile === undefined
        ? [required(at, 'must be set when seccomp type is Localhost')]
        : localDescendingPath(localhostProfile, at)),
    );
  } else if (localhostProfile !== undefined) {
    errors.push(invalidValue(at, profile, 'can only be set when seccomp type is Localhost'));
  }
  return errors;
}

function validateAppArmorProfile(profile: corev1.AppArmorProfile | undefined, path: string): FieldError[] {
  if (profile === undefined) return [];
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  if (!type) return [required(`${path}.type`, 'type is required when appArmorProfile is set')];
  if (!PROFILE_TYPES.includes(type)) return [notSupported(`${path}.type`, type, PROFILE_TYPES)];
  if (type !== 'Localhost')
    return localhostProfile === undefined
      ? []
      : [invalidValue(at, localhostProfile, 'can only be set when AppArmor type is Localhost')];
  if (localhostProfile === undefined) return [required(at, 'must be set when AppArmor type is Localhost')];
  const errors: FieldError[] = [];
  if (localhostProfile.trim() !== localhostProfile)
    errors.push(invalidValue(at, localhostProfile, 'must not be padded with whitespace'));
  else if (localhostProfile === '') errors.push(required(at, 'must be set when AppArmor type is Localhost'));
  if (exceedsBytes(localhostProfile, MAX_PROFILE_PATH)) errors.push(tooLong(at, MAX_PROFILE_PATH));
  return errors;
}

/** `hostUsers`: the pod has no user namespace of its own. */
export function validateContainerSecurity(
  context: corev1.SecurityContext | undefined,
  hostUsers: boolean,
  path: string,
): FieldError[] {
  if (context === undefined) return [];
  const errors: FieldError[] = [];
  if (context.runAsUser !== undefined)
    errors.push(...messages(isValidUserID(context.runAsUser), context.runAsUser, `${path}.runAsUser`));
  if (context.runAsGroup !== undefined)
    errors.push(...messages(isValidGroupID(context.runAsGroup), context.runAsGroup, `${path}.runAsGroup`));
  const { procMount } = context;
  if (procMount !== undefined) {
    if (procMount !== 'Default' && procMount !== 'Unmasked')
      errors.push(notSupported(`${path}.procMount`, procMount, ['Default', 'Unmasked']));
    if (hostUsers && procMount === 'Unmasked')
      errors.push(
        invalidValue(`${path}.procMount`, procMount, '`hostUsers` must be false to use `Unmasked`'),
      );
  }
  errors.push(...validateSeccompProfile(context.seccompProfile, `${path}.seccompProfile`));
  if (context.allowPrivilegeEscalation === false) {
    const CANNOT = 'cannot set `allowPrivilegeEscalation` to false and';
    if (context.privileged === true)
      errors.push(invalidValue(path, context, `${CANNOT} \`privileged\` to true`));
    if ((context.capabilities?.add ?? []).includes('CAP_SYS_ADMIN'))
      errors.push(invalidValue(path, context, `${CANNOT} \`capabilities.Add\` CAP_SYS_ADMIN`));
  }
  errors.push(...validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`));
  errors.push(...validateAppArmorProfile(context.appArmorProfile, `${path}.appArmorProfile`));
  return errors;
}

const SYSCTL = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const SYSCTL_TEXT = `^(${SYSCTL}[\\./])*${SYSCTL}$`;
const SYSCTL_MAX_LENGTH = 253;

/** As the pattern above says, segment by segment: that pattern takes exponential time on hostile names. */
function isSysctlName(name: string): boolean {
  return (
    name.length <= SYSCTL_MAX_LENGTH &&
    name.split(/[./]/).every((segment) => /^[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?$/.test(segment))
  );
}

const IPC_SYSCTLS: ReadonlySet<string> = new Set(
  ['sem', 'shm', 'shmall', 'shmmax', 'shmmni', 'shm_rmid_forced', 'msg', 'msgmax', 'msgmnb', 'msgmni'].map(
    (name) => `kernel.${name}`,
  ),
);

function sysctlNamespace(name: string): 'net' | 'ipc' | undefined {
  // A slash first means that dots and slashes have changed places.
  const first = /[./]/.exec(name)?.[0];
  const normal = first === '/' ? name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/')) : name;
  if (IPC_SYSCTLS.has(normal) || normal.startsWith('fs.mqueue.')) return 'ipc';
  return normal.startsWith('net.') ? 'net' : undefined;
}

function validateSysctls(spec: corev1.PodSpec, path: string): FieldError[] {
  const names = new Set<string>();
  return each(spec.securityContext?.sysctls, path, ({ name = '' }, at) => {
    const errors: FieldError[] = [];
    const field = `${at}.name`;
    if (name === '') errors.push(required(field, ''));
    else if (!isSysctlName(name))
      errors.push(
        invalidValue(
          field,
          name,
          `must have at most ${SYSCTL_MAX_LENGTH} characters and match regex ${SYSCTL_TEXT}`,
        ),
      );
    else if (names.has(name)) errors.push(duplicate(field, name));
    names.add(name);
    const namespace = sysctlNamespace(name);
    if (spec.hostNetwork === true && namespace === 'net')
      errors.push(invalidValue(field, name, "may not be specified when 'hostNetwork' is true"));
    else if (spec.hostIPC === true && namespace === 'ipc')
      errors.push(invalidValue(field, name, "may not be specified when 'hostIPC' is true"));
    return errors;
  });
}

/** The pod's own security context; those of its containers are checked with them. */
export function validatePodSecurity(spec: corev1.PodSpec, path: string): FieldError[] {
  const context = spec.securityContext ?? {};
  const errors: FieldError[] = [];
  if (context.fsGroup !== undefined)
    errors.push(...messages(isValidGroupID(context.fsGroup), context.fsGroup, `${path}.fsGroup`));
  if (context.runAsUser !== undefined)
    errors.push(...messages(isValidUserID(context.runAsUser), context.runAsUser, `${path}.runAsUser`));
  if (context.runAsGroup !== undefined)
    errors.push(...messages(isValidGroupID(context.runAsGroup), context.runAsGroup, `${path}.runAsGroup`));
  errors.push(
    ...each(context.supplementalGroups, `${path}.supplementalGroups`, (id, at) =>
      messages(isValidGroupID(id), id, at),
    ),
  );
  if (spec.shareProcessNamespace === true && spec.hostPID === true)
    errors.push(
      invalidValue(
        `${path}.shareProcessNamespace`,
        true,
        'ShareProcessNamespace and HostPID cannot both be enabled',
      ),
    );
  errors.push(...validateSysctls(spec, `${path}.sysctls`));
  const choice = (
    field: 'fsGroupChangePolicy' | 'supplementalGroupsPolicy' | 'seLinuxChangePolicy',
    allowed: readonly string[],
  ): void => {
    const value: string | undefined = context[field];
    if (value !== undefined && !allowed.includes(value))
      errors.push(notSupported(`${path}.${field}`, value, allowed));
  };
  choice('fsGroupChangePolicy', ['Always', 'OnRootMismatch']);
  errors.push(...validateSeccompProfile(context.seccompProfile, `${path}.seccompProfile`));
  errors.push(...validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`));
  errors.push(...validateAppArmorProfile(context.appArmorProfile, `${path}.appArmorProfile`));
  choice('supplementalGroupsPolicy', ['Merge', 'Strict']);
  choice('seLinuxChangePolicy', ['MountOption', 'Recursive']);
  return errors;
}
