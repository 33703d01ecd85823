/**
 * What a pod has to say to be hardened (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted; the
 * words and versions are those of k8s.io/pod-security-admission/policy).
 */
import type { corev1 } from '@k8ts/api';
import { hasAllowedSeccompProfile, procMount, seccompProfile } from './baseline-checks.ts';
import {
  containersText,
  containersThat,
  hasUserNamespace,
  isWindows,
  plural,
  quoted,
  settersOf,
  uses,
  type Check,
  type PodCheck,
} from './check.ts';

const unlessWindows =
  (check: PodCheck): PodCheck =>
  (spec, metadata) =>
    isWindows(spec) ? undefined : check(spec, metadata);
const unlessUserNamespace =
  (check: PodCheck): PodCheck =>
  (spec, metadata) =>
    hasUserNamespace(spec) ? undefined : check(spec, metadata);

const allowPrivilegeEscalation: PodCheck = (spec) => {
  const names = containersThat(
    spec,
    ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false,
  );
  if (names.length === 0) return undefined;
  return {
    reason: 'allowPrivilegeEscalation != false',
    detail: `${containersText(names)} must set securityContext.allowPrivilegeEscalation=false`,
  };
};

const capabilities: PodCheck = (spec) => {
  const keeping = containersThat(
    spec,
    ({ securityContext }) => securityContext?.capabilities?.drop?.includes('ALL') !== true,
  );
  const forbidden = new Set<string>();
  const adding = containersThat(spec, ({ securityContext }) => {
    const added = (securityContext?.capabilities?.add ?? []).filter((name) => name !== 'NET_BIND_SERVICE');
    for (const name of added) forbidden.add(name);
    return added.length > 0;
  });
  const details = [
    ...(keeping.length === 0
      ? []
      : [`${containersText(keeping)} must set securityContext.capabilities.drop=["ALL"]`]),
    ...(adding.length === 0
      ? []
      : [
          `${containersText(adding)} must not include ${quoted([...forbidden].sort())} in securityContext.capabilities.add`,
        ]),
  ];
  return details.length === 0
    ? undefined
    : { reason: 'unrestricted capabilities', detail: details.join('; ') };
};

const ALLOWED_VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
] as const satisfies readonly (keyof corev1.VolumeSource)[];
const OTHER_VOLUMES = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos',
] as const satisfies readonly (keyof corev1.VolumeSource)[];

const restrictedVolumes: PodCheck = ({ volumes = [] }) => {
  const types = new Set<string>();
  const names: string[] = [];
  for (const volume of volumes) {
    if (ALLOWED_VOLUMES.some((type) => volume[type] !== undefined)) continue;
    names.push(volume.name);
    types.add(OTHER_VOLUMES.find((type) => volume[type] !== undefined) ?? 'unknown');
  }
  if (names.length === 0) return undefined;
  return {
    reason: 'restricted volume types',
    detail: `${plural('volume', names.length)} ${quoted(names)} ${uses(names.length)} ${plural('restricted volume type', types.size)} ${quoted([...types].sort())}`,
  };
};

const runAsNonRoot: PodCheck = (spec) => {
  const reason = 'runAsNonRoot != true';
  const setters = settersOf(spec, (context) => context.runAsNonRoot === false);
  if (setters.length > 0)
    return { reason, detail: `${setters.join(' and ')} must not set securityContext.runAsNonRoot=false` };
  if (spec.securityContext?.runAsNonRoot === true) return undefined;
  const silent = containersThat(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  if (silent.length === 0) return undefined;
  return { reason, detail: `pod or ${containersText(silent)} must set securityContext.runAsNonRoot=true` };
};

const runAsUser: PodCheck = (spec) => {
  const setters = settersOf(spec, (context) => context.runAsUser === 0);
  if (setters.length === 0) return undefined;
  return { reason: 'runAsUser=0', detail: `${setters.join(' and ')} must not set runAsUser=0` };
};

const seccompProfileSet: PodCheck = (spec, metadata) => {
  const wrong = seccompProfile(spec, metadata);
  if (wrong !== undefined || hasAllowedSeccompProfile(spec.securityContext) === true) return wrong;
  const silent = containersThat(
    spec,
    ({ securityContext }) => hasAllowedSeccompProfile(securityContext) === undefined,
  );
  if (silent.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `pod or ${containersText(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
};

/** In the order of their ids. A pod for Windows may not set what is Linux'. */
export const restrictedChecks: readonly Check[] = [
  {
    id: 'allowPrivilegeEscalation',
    versions: [
      { since: 8, check: allowPrivilegeEscalation },
      { since: 25, check: unlessWindows(allowPrivilegeEscalation) },
    ],
  },
  {
    id: 'capabilities_restricted',
    overrides: 'capabilities_baseline',
    versions: [
      { since: 22, check: capabilities },
      { since: 25, check: unlessWindows(capabilities) },
    ],
  },
  { id: 'procMount_restricted', overrides: 'procMount', versions: [{ since: 35, check: procMount }] },
  {
    id: 'restrictedVolumes',
    overrides: 'hostPathVolumes',
    versions: [{ since: 0, check: restrictedVolumes }],
  },
  {
    id: 'runAsNonRoot',
    versions: [
      { since: 0, check: runAsNonRoot },
      { since: 35, check: unlessUserNamespace(runAsNonRoot) },
    ],
  },
  {
    id: 'runAsUser',
    versions: [
      { since: 23, check: runAsUser },
      { since: 35, check: unlessUserNamespace(runAsUser) },
    ],
  },
  {
    id: 'seccompProfile_restricted',
    overrides: 'seccompProfile_baseline',
    versions: [
      { since: 19, check: seccompProfileSet },
      { since: 25, check: unlessWindows(seccompProfileSet) },
    ],
  },
];
