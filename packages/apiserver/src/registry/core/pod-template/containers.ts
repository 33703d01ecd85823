/** The containers of a pod, its init containers and its ephemeral containers. */
import type { corev1 } from '@k8ts/api';
import {
  duplicate,
  forbiddenField,
  invalidValue,
  isValidPortName,
  notFoundField,
  notSupported,
  required,
  tooMany,
  type FieldError,
} from '@k8ts/apimachinery';
import { dnsLabel, each, messages, portNumber, PROTOCOLS, requiredOneOf } from '../../field-rules.ts';
import { validateEnv, validateEnvFrom } from './env.ts';
import { validateVolumeDevices, validateVolumeMounts, type Volumes } from './mounts.ts';
import { validateLifecycle, validateProbe } from './probes.ts';
import { validateContainerResources } from './resources.ts';
import { validateContainerSecurity } from './security.ts';
import { validatePullPolicy } from './volumes.ts';
import type { AnyContainer } from './walk.ts';

/** What the rules of a container need to know of its pod. */
export interface PodFacts {
  readonly volumes: Volumes;
  readonly claimNames: ReadonlySet<string>;
  readonly restartPolicy: string | undefined;
  readonly gracePeriod: number | undefined;
  readonly hostUsers: boolean;
}

const MAX_RESTART_RULES = 20;
const MAX_EXIT_CODES = 255;

function validatePorts(ports: readonly corev1.ContainerPort[] | undefined, path: string): FieldError[] {
  const names = new Set<string>();
  return each(ports, path, (port, at) => {
    const errors: FieldError[] = [];
    if (port.name) {
      const wrong = isValidPortName(port.name);
      if (wrong.length > 0) errors.push(...messages(wrong, port.name, `${at}.name`));
      else if (names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name));
      else names.add(port.name);
    }
    errors.push(
      ...(port.containerPort
        ? portNumber(port.containerPort, `${at}.containerPort`)
        : [required(`${at}.containerPort`, '')]),
    );
    if (port.hostPort) errors.push(...portNumber(port.hostPort, `${at}.hostPort`));
    errors.push(...requiredOneOf(port.protocol, PROTOCOLS, `${at}.protocol`));
    return errors;
  });
}

function validateResizePolicy(
  policies: readonly corev1.ContainerResizePolicy[] | undefined,
  restartPolicy: string | undefined,
  path: string,
): FieldError[] {
  const seen = new Set<string>();
  return each(policies, path, ({ resourceName = '', restartPolicy: policy = '' }, at) => {
    const errors: FieldError[] = [];
    if (seen.has(resourceName)) errors.push(duplicate(at, resourceName));
    seen.add(resourceName);
    errors.push(...requiredOneOf(resourceName, ['cpu', 'memory'], path));
    errors.push(...requiredOneOf(policy, ['NotRequired', 'RestartContainer'], path));
    if (restartPolicy === 'Never' && policy !== 'NotRequired')
      errors.push(invalidValue(path, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
    return errors;
  });
}

function validateCommon(container: AnyContainer, pod: PodFacts, path: string): FieldError[] {
  const errors = container.name ? dnsLabel(container.name, `${path}.name`) : [required(`${path}.name`, '')];
  if (!container.image) errors.push(required(`${path}.image`, ''));
  const policy: string | undefined = container.terminationMessagePolicy;
  if (!policy) errors.push(required(`${path}.terminationMessagePolicy`, ''));
  else if (policy !== 'File' && policy !== 'FallbackToLogsOnError')
    errors.push(notSupported(`${path}.terminationMessagePolicy`, policy, ['File', 'FallbackToLogsOnError']));
  errors.push(
    ...validatePorts(container.ports, `${path}.ports`),
    ...validateEnv(container.env, `${path}.env`),
    ...validateEnvFrom(container.envFrom, `${path}.envFrom`),
    ...validateVolumeMounts(container, pod.volumes, `${path}.volumeMounts`),
    ...validateVolumeDevices(container, pod.volumes, `${path}.volumeDevices`),
    ...validatePullPolicy(container.imagePullPolicy, `${path}.imagePullPolicy`),
    ...validateContainerResources(container.resources, pod.claimNames, `${path}.resources`),
    ...validateResizePolicy(container.resizePolicy, pod.restartPolicy, `${path}.resizePolicy`),
    ...validateContainerSecurity(container.securityContext, pod.hostUsers, `${path}.securityContext`),
  );
  return errors;
}

const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

function validateHandlers(container: corev1.Container, pod: PodFacts, path: string): FieldError[] {
  const errors = validateLifecycle(container.lifecycle, pod.gracePeriod, `${path}.lifecycle`);
  for (const probe of PROBES)
    errors.push(...validateProbe(probe, container[probe], pod.gracePeriod, `${path}.${probe}`));
  return errors;
}

/** KEP-5307: a container may have its own restart policy, and rules by exit code. */
function validateRestart(
  { restartPolicy, restartPolicyRules: rules = [] }: corev1.Container,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const at = `${path}.restartPolicy`;
  const policies = ['Always', 'Never', 'OnFailure'];
  if (restartPolicy === undefined) {
    if (rules.length > 0) errors.push(required(at, 'must specify restartPolicy when restart rules are used'));
  } else if (!policies.includes(restartPolicy)) {
    errors.push(notSupported(at, restartPolicy, policies));
  }
  const list = `${path}.restartPolicyRules`;
  if (rules.length > MAX_RESTART_RULES) errors.push(tooMany(list, rules.length, MAX_RESTART_RULES));
  return [
    ...errors,
    ...each(rules, list, ({ action, exitCodes }, rule) => {
      const wrong: FieldError[] = [];
      const actions = ['Restart', 'RestartAllContainers'];
      if (!actions.includes(action ?? '')) wrong.push(notSupported(`${rule}.action`, action ?? '', actions));
      if (exitCodes === undefined) return [...wrong, required(`${rule}.exitCodes`, 'must be specified')];
      const operators = ['In', 'NotIn'];
      if (!operators.includes(exitCodes.operator ?? ''))
        wrong.push(notSupported(`${rule}.exitCodes.operator`, exitCodes.operator ?? '', operators));
      const count = exitCodes.values?.length ?? 0;
      if (count > MAX_EXIT_CODES) wrong.push(tooMany(`${rule}.exitCodes.values`, count, MAX_EXIT_CODES));
      return wrong;
    }),
  ];
}

/** A host port once per protocol and address. */
function validateHostPorts(containers: readonly corev1.Container[], path: string): FieldError[] {
  const seen = new Set<string>();
  return each(containers, path, (container, at) =>
    each(container.ports, `${at}.ports`, ({ hostPort, hostIP = '', protocol }, portPath) => {
      if (!hostPort) return [];
      const id = `${protocol}/${hostIP}/${hostPort}`;
      if (seen.has(id)) return [duplicate(`${portPath}.hostPort`, id)];
      seen.add(id);
      return [];
    }),
  );
}

export function validateContainers(
  containers: readonly corev1.Container[],
  pod: PodFacts,
  path: string,
): FieldError[] {
  if (containers.length === 0) return [required(path, '')];
  const names = new Set<string>();
  const errors = each(containers, path, (container, at) => {
    const wrong = validateCommon(container, pod, at);
    if (names.has(container.name)) wrong.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    return [...wrong, ...validateHandlers(container, pod, at), ...validateRestart(container, at)];
  });
  return [...errors, ...validateHostPorts(containers, path)];
}

export function validateInitContainers(
  containers: readonly corev1.Container[] | undefined,
  regular: readonly corev1.Container[],
  pod: PodFacts,
  path: string,
): FieldError[] {
  const names = new Set(regular.map((container) => container.name));
  return each(containers, path, (container, at) => {
    const errors = validateCommon(container, pod, at);
    errors.push(...validateRestart(container, at));
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    else if (container.name) names.add(container.name);
    errors.push(...validateHostPorts([container], path));
    if (container.restartPolicy === 'Always') {
      errors.push(...validateHandlers(container, pod, at));
      return errors;
    }
    for (const field of ['lifecycle', ...PROBES] as const)
      if (container[field] !== undefined)
        errors.push(
          forbiddenField(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'),
        );
    for (const [i, { restartPolicy }] of (container.resizePolicy ?? []).entries())
      if (restartPolicy === 'RestartContainer')
        errors.push(
          invalidValue(
            `${at}.resizePolicy[${i}].restartPolicy`,
            restartPolicy,
            "must not be set to 'RestartContainer' for non-sidecar initContainers",
          ),
        );
    return errors;
  });
}

const NOT_EPHEMERAL = [
  'ports',
  'resources',
  'resizePolicy',
  'restartPolicy',
  'restartPolicyRules',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
] as const;
const EPHEMERAL = 'cannot be set for an Ephemeral Container';

export function validateEphemeralContainers(spec: corev1.PodSpec, pod: PodFacts, path: string): FieldError[] {
  const others = new Set(
    [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name),
  );
  const names = new Set(others);
  return each(spec.ephemeralContainers, path, (container, at) => {
    const errors = [...validateCommon(container, pod, at), ...validateImageSpace(container, at)];
    if (names.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
    names.add(container.name);
    const target = container.targetContainerName;
    if (target && !others.has(target)) errors.push(notFoundField(`${at}.targetContainerName`, target));
    for (const field of NOT_EPHEMERAL) {
      const value: unknown = container[field];
      const isSet =
        typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
      if (isSet) errors.push(forbiddenField(`${at}.${field}`, EPHEMERAL));
    }
    for (const [i, mount] of (container.volumeMounts ?? []).entries())
      for (const field of ['subPath', 'subPathExpr'] as const)
        if (mount[field]) errors.push(forbiddenField(`${at}.volumeMounts[${i}].${field}`, EPHEMERAL));
    return errors;
  });
}

/** Only for pods: templates that were stored with such images stay valid. */
export function validateImageSpace({ image = '' }: AnyContainer, path: string): FieldError[] {
  return image.trim().length === image.length
    ? []
    : [invalidValue(`${path}.image`, image, 'must not have leading or trailing whitespace')];
}
