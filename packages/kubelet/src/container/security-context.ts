import type { corev1 } from '@k8ts/api';
import type { Image, LinuxContainerSecurityContext, NamespaceOptions, SecurityProfile } from '@k8ts/cri';

import { formatPod } from '../pod/pod-spec.ts';
import type { Container, Pod } from '../pod/types.ts';

/** Paths of /proc and /sys that a container with the default procMount does not see, or cannot write. */
export const MASKED_PATHS: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

export interface SecurityInput {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: Pick<Image, 'uid' | 'username'>;
  readonly targetContainerId?: string | undefined;
  /** Directory that Localhost seccomp profiles are relative to. */
  readonly seccompRoot: string;
}

type Effective = Partial<corev1.SecurityContext>;

/** The container's own values over the pod's (pkg/securitycontext: DetermineEffectiveSecurityContext). */
function effectiveSecurityContext(pod: Pod, container: Container): Effective {
  const shared = pod.spec.securityContext;
  return {
    ...(shared?.runAsUser === undefined ? {} : { runAsUser: shared.runAsUser }),
    ...(shared?.runAsGroup === undefined ? {} : { runAsGroup: shared.runAsGroup }),
    ...(shared?.runAsNonRoot === undefined ? {} : { runAsNonRoot: shared.runAsNonRoot }),
    ...(shared?.seccompProfile === undefined ? {} : { seccompProfile: shared.seccompProfile }),
    ...(shared?.appArmorProfile === undefined ? {} : { appArmorProfile: shared.appArmorProfile }),
    ...container.securityContext,
  };
}

export function linuxSecurityContext(input: SecurityInput): LinuxContainerSecurityContext {
  const { pod, container, image } = input;
  const effective = effectiveSecurityContext(pod, container);
  verifyRunAsNonRoot(pod, container, effective, image);
  const privileged = effective.privileged === true;
  const unmasked = effective.procMount === 'Unmasked';
  const user = effective.runAsUser ?? image.uid;
  const seccomp = profile(effective.seccompProfile, input.seccompRoot);
  const apparmor = profile(effective.appArmorProfile, '');
  return {
    addCapabilities: effective.capabilities?.add ?? [],
    dropCapabilities: effective.capabilities?.drop ?? [],
    privileged,
    namespaces: podNamespaces(pod, input.targetContainerId),
    ...(input.targetContainerId === undefined ? {} : { targetContainerId: input.targetContainerId }),
    ...(user === undefined
      ? image.username === undefined || image.username === ''
        ? {}
        : { runAsUserName: image.username }
      : { runAsUser: user }),
    ...(effective.runAsGroup === undefined ? {} : { runAsGroup: effective.runAsGroup }),
    readonlyRootfs: effective.readOnlyRootFilesystem === true,
    supplementalGroups: supplementalGroups(pod),
    // A process that must not gain privileges; a privileged one has them all anyway.
    noNewPrivileges: effective.allowPrivilegeEscalation === false,
    maskedPaths: privileged || unmasked ? [] : MASKED_PATHS,
    readonlyPaths: privileged || unmasked ? [] : READONLY_PATHS,
    ...(seccomp === undefined ? {} : { seccompProfile: seccomp }),
    ...(apparmor === undefined ? {} : { apparmorProfile: apparmor }),
  };
}

export function supplementalGroups(pod: Pod): readonly number[] {
  const { supplementalGroups: groups = [], fsGroup } = pod.spec.securityContext ?? {};
  return fsGroup === undefined ? groups : [...groups, fsGroup];
}

export function podNamespaces(pod: Pod, targetContainerId?: string): NamespaceOptions {
  const { hostNetwork, hostPID, hostIPC, shareProcessNamespace } = pod.spec;
  return {
    network: hostNetwork === true ? 'NODE' : 'POD',
    ipc: hostIPC === true ? 'NODE' : 'POD',
    pid:
      targetContainerId !== undefined
        ? 'CONTAINER'
        : hostPID === true
          ? 'NODE'
          : shareProcessNamespace === true
            ? 'POD'
            : 'CONTAINER',
  };
}

/** Texts: pkg/kubelet/kuberuntime/security_context_others.go. */
function verifyRunAsNonRoot(
  pod: Pod,
  container: Container,
  effective: Effective,
  image: SecurityInput['image'],
): void {
  if (effective.runAsNonRoot !== true) return;
  const where = `(pod: "${formatPod(pod)}", container: ${container.name})`;
  if (effective.runAsUser !== undefined) {
    if (effective.runAsUser === 0) throw new Error(`container's runAsUser breaks non-root policy ${where}`);
    return;
  }
  if (image.uid === 0) throw new Error(`container has runAsNonRoot and image will run as root ${where}`);
  if (image.uid === undefined && image.username !== undefined && image.username !== '')
    throw new Error(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${where}`,
    );
  // An image that names no user runs as root.
  if (image.uid === undefined)
    throw new Error(`container has runAsNonRoot and image will run as root ${where}`);
}

function profile(
  wanted: { readonly type: string; readonly localhostProfile?: string } | undefined,
  root: string,
): SecurityProfile | undefined {
  switch (wanted?.type) {
    case 'RuntimeDefault':
      return { type: 'RuntimeDefault' };
    case 'Unconfined':
      return { type: 'Unconfined' };
    case 'Localhost': {
      const name = wanted.localhostProfile ?? '';
      return { type: 'Localhost', localhostRef: root === '' ? name : `${root}/${name}` };
    }
    default:
      return undefined;
  }
}
