/** ValidatePodStatusUpdate. */
import type { corev1 } from '@k8ts/api';
import {
  FIELD_IMMUTABLE,
  forbiddenField,
  invalidValue,
  nameIsDNSSubdomain,
  duplicate,
  type FieldError,
} from '@k8ts/apimachinery';
import { each, messages, qualifiedName } from '../../field-rules.ts';
import { isDualStack, parseIp, validateLegacyIp } from '../../ip-addresses.ts';
import { validatePodAnnotationsUpdate } from '../pod-template/annotations.ts';

type Pod = corev1.Pod;
type Statuses = readonly corev1.ContainerStatus[] | undefined;

const NOT_NEGATIVE_INTEGER = 'must be a non-negative integer';
const SYSTEM_CONDITIONS = ['PodScheduled', 'Ready', 'Initialized'];

/** pkg/apis/core/validation: ValidatePodStatusUpdate. */
export function validatePodStatusUpdate(pod: Pod, old: Pod): FieldError[] {
  const status = pod.status ?? {};
  const before = old.status ?? {};
  const errors = validatePodAnnotationsUpdate(pod.metadata, old.metadata, 'metadata.annotations');
  errors.push(...validateConditions(status.conditions));
  const nominated = status.nominatedNodeName ?? '';
  const nominatedPath = 'status.nominatedNodeName';
  if (nominated !== '' && nominated !== (before.nominatedNodeName ?? '')) {
    errors.push(...messages(nameIsDNSSubdomain(nominated, false), nominated, nominatedPath));
    if (old.spec.nodeName)
      errors.push(forbiddenField(nominatedPath, 'may not be set on pods that are already bound to a node'));
  }
  if ((status.observedGeneration ?? 0) < 0)
    errors.push(invalidValue('status.observedGeneration', status.observedGeneration, NOT_NEGATIVE_INTEGER));
  if ((status.qosClass ?? '') !== (before.qosClass ?? ''))
    errors.push(invalidValue('status.qosClass', status.qosClass ?? '', FIELD_IMMUTABLE));
  if (!allContainersCouldRestart(old.spec)) {
    errors.push(
      ...validateTransitions(
        status.containerStatuses,
        before.containerStatuses,
        'containerStatuses',
        (ended) => mayRestart(old.spec.containers, old.spec, ended),
      ),
      ...validateTransitions(
        status.initContainerStatuses,
        before.initContainerStatuses,
        'initContainerStatuses',
        (ended) => mayRestart(old.spec.initContainers ?? [], old.spec, ended),
      ),
    );
  }
  errors.push(
    ...validateTransitions(
      status.ephemeralContainerStatuses,
      before.ephemeralContainerStatuses,
      'ephemeralContainerStatuses',
      () => false,
    ),
    ...validateClaimStatuses(pod),
    ...validateIps(status.podIPs, before.podIPs, 'status.podIPs'),
  );
  const [first] = status.hostIPs ?? [];
  if (first !== undefined && (status.hostIP ?? '') !== (first.ip ?? ''))
    errors.push(invalidValue('status.hostIPs[0].ip', first.ip ?? '', 'must be equal to `hostIP`'));
  return [...errors, ...validateIps(status.hostIPs, before.hostIPs, 'status.hostIPs')];
}

function validateConditions(conditions: readonly corev1.PodCondition[] | undefined): FieldError[] {
  return each(conditions, 'status.conditions', ({ type = '', observedGeneration = 0 }, at) => [
    ...(observedGeneration < 0
      ? [invalidValue(`${at}.observedGeneration`, observedGeneration, NOT_NEGATIVE_INTEGER)]
      : []),
    ...(SYSTEM_CONDITIONS.includes(type) ? [] : qualifiedName(type, `${at}.Type`)),
  ]);
}

/** Some rule may start every container of the pod anew. */
function allContainersCouldRestart(spec: corev1.PodSpec): boolean {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? [])].some((container) =>
    (container.restartPolicyRules ?? []).some((rule) => rule.action === 'RestartAllContainers'),
  );
}

/** podutil.ContainerShouldRestart: the container's own rules, its own policy, then the pod's. */
function mayRestart(
  containers: readonly corev1.Container[],
  spec: corev1.PodSpec,
  ended: corev1.ContainerStatus,
): boolean {
  const container = containers.find(({ name }) => name === ended.name);
  if (container === undefined) return false;
  const exitCode = ended.state?.terminated?.exitCode ?? 0;
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    const listed = (exitCodes?.values ?? []).includes(exitCode);
    const matches = exitCodes?.operator === 'In' ? listed : exitCodes?.operator === 'NotIn' && !listed;
    if (matches && action === 'Restart') return true;
  }
  const policy: string = container.restartPolicy ?? spec.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

/** What has ended for good stays ended. Positions are those of the old list, as upstream has them. */
function validateTransitions(
  next: Statuses,
  old: Statuses,
  list: string,
  allowed: (ended: corev1.ContainerStatus) => boolean,
): FieldError[] {
  return each(old, `status.${list}`, (before, at) => {
    if (before.state?.terminated === undefined) return [];
    const after = (next ?? []).find(({ name }) => name === before.name);
    return after !== undefined && after.state?.terminated === undefined && !allowed(before)
      ? [forbiddenField(`${at}.state`, 'may not be transitioned to non-terminated state')]
      : [];
  });
}

function validateClaimStatuses({ spec, status }: Pod): FieldError[] {
  const claims = new Set((spec.resourceClaims ?? []).map(({ name }) => name));
  const names = new Set<string>();
  return each(
    status?.resourceClaimStatuses,
    'status.resourceClaimStatuses',
    ({ name, resourceClaimName }, at) => {
      const errors = claims.has(name)
        ? []
        : [invalidValue(`${at}.name`, name, 'must match the name of an entry in `spec.resourceClaims`')];
      if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
      names.add(name);
      if (resourceClaimName !== undefined)
        errors.push(
          ...messages(
            nameIsDNSSubdomain(resourceClaimName, false),
            resourceClaimName,
            `${at}.resourceClaimName`,
          ),
        );
      return errors;
    },
  );
}

type Ips = readonly { readonly ip?: string }[] | undefined;

function validateIps(next: Ips, old: Ips, path: string): FieldError[] {
  const before = (old ?? []).map(({ ip = '' }) => ip);
  const errors = each(next, path, ({ ip = '' }, at) => validateLegacyIp(ip, at, before));
  const list = next ?? [];
  if (list.length < 2) return errors;
  const versions = list.map(({ ip = '' }) => parseIp(ip)?.version ?? 4);
  if (!isDualStack(versions) || list.length > 2)
    errors.push(invalidValue(path, list, 'may specify no more than one IP for each IP family'));
  return errors;
}
