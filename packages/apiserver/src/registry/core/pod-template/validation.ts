/** ValidatePodSpec and ValidatePodTemplateSpec. */
import type { corev1 } from '@k8ts/api';
import {
  duplicate,
  exceedsBytes,
  forbiddenField,
  invalidValue,
  isDNS1123SubdomainWithUnderscore,
  labelSelectorFromObject,
  matchesLabels,
  nameIsDNSSubdomain,
  notFoundField,
  notSupported,
  rangeMessage,
  required,
  selectsEverything,
  tooLong,
  validateAnnotations,
  validateLabels,
  type FieldError,
  type LabelSelectorFields,
} from '@k8ts/apimachinery';
import {
  byteLength,
  dnsLabel,
  dnsSubdomain,
  each,
  messages,
  qualifiedName,
  requiredOneOf,
} from '../../field-rules.ts';
import { validateLegacyIp } from '../../ip-addresses.ts';
import { validatePreemptionPolicy } from '../../scheduling/priority-class.ts';
import { MIRROR_POD, validatePodAnnotations, validateProfileAnnotations } from './annotations.ts';
import {
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
  type PodFacts,
} from './containers.ts';
import { validateContainerResources, validatePodResources } from './resources.ts';
import { validateAffinity, validateTolerations, validateTopologySpread } from './scheduling.ts';
import { validatePodSecurity } from './security.ts';
import { validateVolumes } from './volumes.ts';
import { containersWithPaths } from './walk.ts';
import { validateHostProcess, validateLinuxPod, validateWindowsPod } from './windows.ts';

type Spec = corev1.PodSpec;
interface Meta {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const MAX_INT32 = 2 ** 31 - 1;
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;
const MAX_HOSTNAME_OVERRIDE = 64;
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];

/** `pod`: the pod's metadata; undefined for templates, where a few rules are milder. */
export function validatePodSpec(spec: Spec, path: string, pod?: Meta): FieldError[] {
  const { errors: volumeErrors, valid } = validateVolumes(
    spec.volumes,
    `${path}.volumes`,
    pod?.name ?? '',
    pod !== undefined,
  );
  const facts: PodFacts = {
    volumes: valid,
    claimNames: new Set((spec.resourceClaims ?? []).flatMap(({ name }) => (name ? [name] : []))),
    restartPolicy: spec.restartPolicy,
    gracePeriod: spec.terminationGracePeriodSeconds,
    hostUsers: spec.hostUsers !== false,
  };
  const { containers = [] } = spec;
  return [
    ...(spec.terminationGracePeriodSeconds === undefined
      ? [required(`${path}.terminationGracePeriodSeconds`, '')]
      : []),
    ...volumeErrors,
    ...validateResourceClaims(spec, `${path}.resourceClaims`, pod),
    ...validateContainers(containers, facts, `${path}.containers`),
    ...validateInitContainers(spec.initContainers, containers, facts, `${path}.initContainers`),
    ...validateEphemeralContainers(spec, facts, `${path}.ephemeralContainers`),
    ...validatePodResources(spec, facts.claimNames, path),
    ...validateHostNetwork(spec, path, pod !== undefined),
    ...requiredOneOf(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${path}.restartPolicy`),
    ...requiredOneOf(spec.dnsPolicy, DNS_POLICIES, `${path}.dnsPolicy`),
    ...(spec.nodeSelector === undefined ? [] : validateLabels(spec.nodeSelector, `${path}.nodeSelector`)),
    ...validatePodSecurity(spec, `${path}.securityContext`),
    ...validateAffinity(spec.affinity, `${path}.affinity`),
    ...validateDns(spec, `${path}.dnsConfig`),
    ...each(spec.readinessGates, `${path}.readinessGates`, ({ conditionType = '' }, at) =>
      qualifiedName(conditionType, `${at}.conditionType`),
    ),
    ...validateSchedulingGates(spec, `${path}.schedulingGates`),
    ...validateTopologySpread(spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`),
    ...validateHostProcess(spec, path),
    ...validateUserNamespace(spec, path),
    ...validateHostnameOverride(spec, path),
    ...validateNames(spec, path),
    ...validateTolerations(spec.tolerations, `${path}.tolerations`),
    ...each(spec.hostAliases, `${path}.hostAliases`, ({ ip = '', hostnames = [] }, at) => [
      ...validateLegacyIp(ip, `${at}.ip`),
      ...each(hostnames, `${at}.hostnames`, (name, namePath) => dnsSubdomain(name, namePath)),
    ]),
    ...validateClasses(spec, path),
    ...validateOs(spec, path),
    ...validateFileKeyVolumes(spec, path),
  ];
}

function validateResourceClaims(spec: Spec, path: string, pod: Meta | undefined): FieldError[] {
  const names = new Set<string>();
  return each(spec.resourceClaims, path, (claim, at) => {
    if (pod?.annotations?.[MIRROR_POD] !== undefined)
      return [forbiddenField('[]', 'static pods do not support resource claims')];
    const { name = '', resourceClaimName, resourceClaimTemplateName } = claim;
    const errors: FieldError[] = [];
    if (name === '') errors.push(required(`${at}.name`, ''));
    else if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    else errors.push(...dnsLabel(name, `${at}.name`));
    names.add(name);
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined)
      errors.push(
        invalidValue(
          at,
          claim,
          'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
        ),
      );
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined)
      errors.push(
        invalidValue(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'),
      );
    if (resourceClaimName !== undefined)
      errors.push(
        ...messages(
          nameIsDNSSubdomain(resourceClaimName, false),
          resourceClaimName,
          `${at}.resourceClaimName`,
        ),
      );
    if (resourceClaimTemplateName !== undefined)
      errors.push(
        ...messages(
          nameIsDNSSubdomain(resourceClaimTemplateName, false),
          resourceClaimTemplateName,
          `${at}.resourceClaimTemplateName`,
        ),
      );
    return errors;
  });
}

function validateHostNetwork(spec: Spec, path: string, isPod: boolean): FieldError[] {
  if (spec.hostNetwork !== true) return [];
  return each(spec.containers, `${path}.containers`, (container, at) =>
    each(container.ports, `${at}.ports`, ({ hostPort = 0, containerPort = 0 }, portPath) =>
      (isPod || hostPort !== 0) && hostPort !== containerPort
        ? [
            invalidValue(
              `${portPath}.hostPort`,
              hostPort,
              'must match `containerPort` when `hostNetwork` is true',
            ),
          ]
        : [],
    ),
  );
}

function validateDns({ dnsConfig, dnsPolicy }: Spec, path: string): FieldError[] {
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
  if (dnsPolicy === 'None') {
    if (dnsConfig === undefined) return [required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')];
    if (nameservers.length === 0)
      return [
        required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None'),
      ];
  }
  const errors: FieldError[] = [];
  if (nameservers.length > MAX_NAMESERVERS)
    errors.push(
      invalidValue(
        `${path}.nameservers`,
        nameservers,
        `must not have more than ${MAX_NAMESERVERS} nameservers`,
      ),
    );
  errors.push(...each(nameservers, `${path}.nameservers`, (address, at) => validateLegacyIp(address, at)));
  if (searches.length > MAX_SEARCHES)
    errors.push(
      invalidValue(`${path}.searches`, searches, `must not have more than ${MAX_SEARCHES} search paths`),
    );
  if (byteLength(searches.join(' ')) > MAX_SEARCH_CHARACTERS)
    errors.push(
      invalidValue(
        `${path}.searches`,
        searches,
        `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`,
      ),
    );
  errors.push(
    ...each(searches, `${path}.searches`, (search, at) => {
      if (search === '.') return [];
      const name = search.endsWith('.') ? search.slice(0, -1) : search;
      return messages(isDNS1123SubdomainWithUnderscore(name), name, at);
    }),
  );
  errors.push(
    ...each(options, `${path}.options`, ({ name }, at) => (name ? [] : [required(at, 'must not be empty')])),
  );
  return errors;
}

function validateSchedulingGates({ schedulingGates }: Spec, path: string): FieldError[] {
  const names = new Set<string>();
  return each(schedulingGates, path, ({ name = '' }, at) => {
    const errors = qualifiedName(name, at);
    if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
    return errors;
  });
}

function validateUserNamespace(spec: Spec, path: string): FieldError[] {
  if (spec.hostUsers !== false) return [];
  const WHEN = 'when `hostUsers` is false';
  const errors: FieldError[] = [];
  if (spec.hostNetwork === true) errors.push(forbiddenField(`${path}.hostNetwork`, WHEN));
  if (spec.hostPID === true) errors.push(forbiddenField(`${path}.HostPID`, WHEN));
  if (spec.hostIPC === true) errors.push(forbiddenField(`${path}.HostIPC`, WHEN));
  for (const [container, at] of containersWithPaths(spec, path))
    if ((container.volumeDevices ?? []).length > 0) errors.push(forbiddenField(`${at}.volumeDevices`, WHEN));
  return errors;
}

function validateHostnameOverride(spec: Spec, path: string): FieldError[] {
  const { hostnameOverride: name } = spec;
  if (name === undefined) return [];
  const at = `${path}.hostnameOverride`;
  const errors: FieldError[] = [];
  if (spec.setHostnameAsFQDN === true)
    errors.push(forbiddenField(at, 'may not be specified when setHostnameAsFQDN is true'));
  if (spec.hostNetwork === true)
    errors.push(forbiddenField(at, 'may not be specified when hostNetwork is true'));
  if (exceedsBytes(name, MAX_HOSTNAME_OVERRIDE)) errors.push(tooLong(at, MAX_HOSTNAME_OVERRIDE));
  return [...errors, ...dnsSubdomain(name, at)];
}

function validateNames(spec: Spec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['serviceAccountName', 'nodeName'] as const) {
    const name = spec[field];
    if (name) errors.push(...messages(nameIsDNSSubdomain(name, false), name, `${path}.${field}`));
  }
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > MAX_INT32))
    errors.push(invalidValue(`${path}.activeDeadlineSeconds`, deadline, rangeMessage(1, MAX_INT32)));
  if (spec.hostname) errors.push(...dnsLabel(spec.hostname, `${path}.hostname`));
  if (spec.subdomain) errors.push(...dnsLabel(spec.subdomain, `${path}.subdomain`));
  return errors;
}

function validateClasses(spec: Spec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.priorityClassName)
    errors.push(...dnsSubdomain(spec.priorityClassName, `${path}.priorityClassName`));
  if (spec.runtimeClassName !== undefined)
    errors.push(...dnsSubdomain(spec.runtimeClassName, `${path}.runtimeClassName`));
  if (spec.preemptionPolicy !== undefined)
    errors.push(...validatePreemptionPolicy(spec.preemptionPolicy, `${path}.preemptionPolicy`));
  if (spec.overhead !== undefined)
    errors.push(...validateContainerResources({ limits: spec.overhead }, new Set(), `${path}.overhead`));
  return errors;
}

function validateOs(spec: Spec, path: string): FieldError[] {
  if (spec.os === undefined) return [];
  const { name } = spec.os;
  if (!name) return [required(`${path}.os.name`, '')];
  if (name === 'linux') return validateLinuxPod(spec, path);
  if (name === 'windows') return validateWindowsPod(spec, path);
  return [notSupported(`${path}.os`, name, ['linux', 'windows'])];
}

function validateFileKeyVolumes(spec: Spec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [container, at] of containersWithPaths(spec, path)) {
    for (const [i, { valueFrom }] of (container.env ?? []).entries()) {
      const name = valueFrom?.fileKeyRef?.volumeName;
      if (valueFrom?.fileKeyRef === undefined) continue;
      const field = `${at}.env[${i}].valueFrom.fileKeyRef.volumeName`;
      const volume = (spec.volumes ?? []).find((candidate) => candidate.name === name);
      if (volume === undefined) errors.push(notFoundField(field, name ?? ''));
      else if (volume.emptyDir === undefined)
        errors.push(invalidValue(field, name, 'referenced volume must be of type emptyDir'));
    }
  }
  return errors;
}

export function validatePodTemplateSpec(template: corev1.PodTemplateSpec, path: string): FieldError[] {
  const { metadata = {}, spec = {} as Spec } = template;
  return [
    ...validateLabels(metadata.labels ?? {}, `${path}.labels`),
    ...validateAnnotations(metadata.annotations ?? {}, `${path}.annotations`),
    ...validatePodAnnotations(metadata, spec, `${path}.annotations`),
    ...validatePodSpec(spec, `${path}.spec`),
    ...validateProfileAnnotations(metadata, spec, `${path}.spec`),
    ...((spec.ephemeralContainers ?? []).length > 0
      ? [
          forbiddenField(
            `${path}.spec.ephemeralContainers`,
            'ephemeral containers not allowed in pod template',
          ),
        ]
      : []),
  ];
}

/** The template of a controller whose pods run for good: they match the selector and are always restarted. */
export function validateControllerTemplate(
  template: corev1.PodTemplateSpec | undefined,
  selector: LabelSelectorFields | undefined,
  kind: string,
  path: string,
): FieldError[] {
  if (template === undefined) return [required(path, '')];
  return [
    ...validateTemplateLabels(template, selector, path),
    ...validatePodTemplateSpec(template, path),
    ...validateRunsForGood(template, kind, path),
  ];
}

export function validateTemplateLabels(
  template: corev1.PodTemplateSpec,
  selector: LabelSelectorFields | undefined,
  path: string,
): FieldError[] {
  const labels = template.metadata?.labels;
  try {
    const parsed = labelSelectorFromObject(selector);
    if (selectsEverything(parsed) || matchesLabels(parsed, labels)) return [];
  } catch {
    return []; // the selector itself is named as wrong
  }
  return [
    invalidValue(`${path}.metadata.labels`, labels ?? null, '`selector` does not match template `labels`'),
  ];
}

export function validateRunsForGood(
  { spec }: corev1.PodTemplateSpec,
  kind: string,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.restartPolicy !== 'Always')
    errors.push(notSupported(`${path}.spec.restartPolicy`, spec?.restartPolicy ?? '', ['Always']));
  if (spec?.activeDeadlineSeconds !== undefined)
    errors.push(
      forbiddenField(
        `${path}.spec.activeDeadlineSeconds`,
        `activeDeadlineSeconds in ${kind} is not Supported`,
      ),
    );
  return errors;
}
