/** Rules of the operating systems: what Linux pods may not set, what Windows pods may not set, host process containers. */
import type { corev1 } from '@k8ts/api';
import { forbiddenField, invalidValue, isDNS1123Subdomain, type FieldError } from '@k8ts/apimachinery';
import { byteLength, messages } from '../../field-rules.ts';
import { containersWithPaths } from './walk.ts';

const MAX_CREDENTIAL_SPEC_KIB = 64;
const MAX_DOMAIN_LENGTH = 256;
const MAX_USER_LENGTH = 104;

const NETBIOS = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const DNS_LABEL = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/;

export function validateWindowsOptions(
  options: corev1.WindowsSecurityContextOptions | undefined,
  path: string,
): FieldError[] {
  if (options === undefined) return [];
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: spec, runAsUserName: user } = options;
  const errors: FieldError[] = [];
  if (name !== undefined)
    errors.push(...messages(isDNS1123Subdomain(name), name, `${path}.gmsaCredentialSpecName`));
  if (spec !== undefined) {
    const at = `${path}.gmsaCredentialSpec`;
    if (spec === '') errors.push(invalidValue(at, spec, 'gmsaCredentialSpec cannot be an empty string'));
    else if (byteLength(spec) > MAX_CREDENTIAL_SPEC_KIB * 1024)
      errors.push(
        invalidValue(at, spec, `gmsaCredentialSpec size must be under ${MAX_CREDENTIAL_SPEC_KIB} KiB`),
      );
  }
  if (user !== undefined)
    for (const message of wrongUserName(user))
      errors.push(invalidValue(`${path}.runAsUserName`, user, message));
  return errors;
}

function wrongUserName(name: string): string[] {
  if (name === '') return ['runAsUserName cannot be an empty string'];

  if (/[\u0000-\u001f\u007f]/.test(name)) return ['runAsUserName cannot contain control characters'];
  const parts = name.split('\\');
  if (parts.length > 2) return ['runAsUserName cannot contain more than one backslash'];
  const user = parts[parts.length - 1] as string;
  const domain = parts.length === 2 ? (parts[0] as string) : undefined;
  const wrong: string[] = [];
  if (domain !== undefined) {
    if (byteLength(domain) >= MAX_DOMAIN_LENGTH)
      wrong.push(`runAsUserName's Domain length must be under ${MAX_DOMAIN_LENGTH} characters`);
    if (!NETBIOS.test(domain) && !domain.split('.').every((label) => DNS_LABEL.test(label)))
      wrong.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  }
  if (user === '') wrong.push("runAsUserName's User cannot be empty");
  else if (byteLength(user) > MAX_USER_LENGTH)
    wrong.push(`runAsUserName's User length must not be longer than ${MAX_USER_LENGTH} characters`);
  if (/^[. ]+$/.test(user)) wrong.push("runAsUserName's User cannot contain only periods or spaces");
  if (/["/\\:;|=,+*?<>@[\]]/.test(user))
    wrong.push(`runAsUserName's User cannot contain the following characters: "/\\:;|=,+*?<>@[]`);
  return wrong;
}

/** pkg/apis/core/validation: validateWindowsHostProcessPod. */
export function validateHostProcess(spec: corev1.PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  let all = 0;
  let hostProcesses = 0;
  for (const [container, at] of containersWithPaths(spec, path)) {
    all++;
    const own = container.securityContext?.windowsOptions?.hostProcess;
    if (ofPod !== undefined && own !== undefined && ofPod !== own)
      errors.push(
        invalidValue(
          `${at}.securityContext.windowsOptions.hostProcess`,
          own,
          `pod hostProcess value must be identical if both are specified, was ${ofPod}`,
        ),
      );
    if (own ?? ofPod ?? false) hostProcesses++;
  }
  if (hostProcesses === 0) return errors;
  if (hostProcesses !== all)
    errors.push(
      invalidValue(
        path,
        '',
        'If pod contains any hostProcess containers then all containers must be HostProcess containers',
      ),
    );
  if (spec.hostNetwork !== true)
    errors.push(
      invalidValue(
        `${path}.hostNetwork`,
        false,
        'hostNetwork must be true if pod contains any hostProcess containers',
      ),
    );
  return errors;
}

export function validateLinuxPod(spec: corev1.PodSpec, path: string): FieldError[] {
  const FOR_WINDOWS = 'windows options cannot be set for a linux pod';
  const errors: FieldError[] = [];
  if (spec.securityContext?.windowsOptions !== undefined)
    errors.push(forbiddenField(`${path}.securityContext.windowsOptions`, FOR_WINDOWS));
  for (const [container, at] of containersWithPaths(spec, path))
    if (container.securityContext?.windowsOptions !== undefined)
      errors.push(forbiddenField(`${at}.securityContext.windowsOptions`, FOR_WINDOWS));
  return errors;
}

const NOT_ON_WINDOWS_POD = [
  'securityContext.appArmorProfile',
  'securityContext.seLinuxOptions',
  'hostUsers',
  'hostPID',
  'hostIPC',
  'securityContext.seccompProfile',
  'securityContext.fsGroup',
  'securityContext.fsGroupChangePolicy',
  'securityContext.sysctls',
  'shareProcessNamespace',
  'securityContext.runAsUser',
  'securityContext.runAsGroup',
  'securityContext.supplementalGroups',
  'securityContext.supplementalGroupsPolicy',
  'securityContext.seLinuxChangePolicy',
];
const NOT_ON_WINDOWS_CONTAINER = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const;

export function validateWindowsPod(spec: corev1.PodSpec, path: string): FieldError[] {
  const forbidden = (at: string): FieldError => forbiddenField(at, 'cannot be set for a windows pod');
  const errors: FieldError[] = [];
  for (const field of NOT_ON_WINDOWS_POD) {
    const name = field.slice(field.indexOf('.') + 1);
    const owner = (field.includes('.') ? (spec.securityContext ?? {}) : spec) as Readonly<
      Record<string, unknown>
    >;
    const value = owner[name];
    // hostPID and hostIPC are plain booleans: false is not set.
    if (value === undefined || ((name === 'hostPID' || name === 'hostIPC') && value === false)) continue;
    if (name === 'sysctls' && (value as unknown[]).length === 0) continue;
    errors.push(forbidden(`${path}.${field}`));
  }
  for (const [container, at] of containersWithPaths(spec, path))
    for (const field of NOT_ON_WINDOWS_CONTAINER)
      if (container.securityContext?.[field] !== undefined)
        errors.push(forbidden(`${at}.securityContext.${field}`));
  return errors;
}
