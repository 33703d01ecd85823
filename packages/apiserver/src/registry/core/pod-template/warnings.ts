/** What is legal in a pod and probably not meant (pkg/api/pod/warnings.go). */
import type { corev1 } from '@k8ts/api';
import { child, goQuote, isValidLabelValue, key, quantityOf, scaledQuantity } from '@k8ts/apimachinery';
import { ipWarnings } from '../../ip-addresses.ts';
import { nodeLabelWarning } from '../../node-label-warnings.ts';
import { APP_ARMOR_CONTAINER, SECCOMP_CONTAINER, SECCOMP_POD } from './annotations.ts';
import { volumeWarnings } from './volume-warnings.ts';
import { containersWithPaths } from './walk.ts';

type Spec = corev1.PodSpec;
interface Meta {
  readonly annotations?: Readonly<Record<string, string>>;
}

const ANNOTATIONS: readonly (readonly [string, string])[] = [
  [
    'scheduler.alpha.kubernetes.io/critical-pod',
    'non-functional in v1.16+; use the "priorityClassName" field instead',
  ],
  ['security.alpha.kubernetes.io/sysctls', 'non-functional in v1.11+; use the "sysctls" field instead'],
  [
    'security.alpha.kubernetes.io/unsafe-sysctls',
    'non-functional in v1.11+; use the "sysctls" field instead',
  ],
];

/** `path`: where the template stands (`spec.template`); empty for a pod. */
export function podWarnings(spec: Spec | undefined, meta: Meta | undefined, path: string): string[] {
  if (spec === undefined) return [];
  const at = child(path, 'spec');
  const annotations = meta?.annotations ?? {};
  const annotationsPath = child(path, 'metadata', 'annotations');
  return [
    ...nodeLabelWarnings(spec, at),
    ...ANNOTATIONS.filter(([name]) => annotations[name] !== undefined).map(
      ([name, message]) => `${key(annotationsPath, name)}: ${message}`,
    ),
    ...volumeWarnings(spec.volumes, `${at}.volumes`),
    ...duplicates(spec.hostAliases, `${at}.hostAliases`, 'ip'),
    ...duplicates(spec.imagePullSecrets, `${at}.imagePullSecrets`, 'name'),
    ...(spec.imagePullSecrets ?? []).flatMap(({ name }, i) =>
      name ? [] : [`${at}.imagePullSecrets[${i}].name: invalid empty name ""`],
    ),
    ...fractionWarnings(spec.overhead, `${at}.overhead`),
    ...(spec.securityContext?.seccompProfile === undefined && annotations[SECCOMP_POD] !== undefined
      ? [
          `${key(annotationsPath, SECCOMP_POD)}: non-functional in v1.27+; use the "seccompProfile" field instead`,
        ]
      : []),
    ...containerWarnings(spec, annotations, annotationsPath, at, path !== ''),
    ...portWarnings(spec, at),
    ...((spec.terminationGracePeriodSeconds ?? 0) < 0
      ? [
          `${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
        ]
      : []),
    ...affinityWarnings(spec, at),
    ...(spec.dnsConfig?.nameservers ?? []).flatMap((ip, i) =>
      ipWarnings(ip, `${at}.dnsConfig.nameservers[${i}]`),
    ),
    ...(spec.hostAliases ?? []).flatMap(({ ip }, i) => ipWarnings(ip, `${at}.hostAliases[${i}].ip`)),
  ];
}

function nodeLabelWarnings(spec: Spec, at: string): string[] {
  const warnings: string[] = [];
  for (const label of Object.keys(spec.nodeSelector ?? {})) {
    const message = nodeLabelWarning(label);
    if (message !== undefined) warnings.push(`${key(`${at}.nodeSelector`, label)}: ${message}`);
  }
  const affinity = spec.affinity?.nodeAffinity;
  const term = (selector: corev1.NodeSelectorTerm | undefined, path: string, checkValues: boolean): void => {
    for (const [i, expression] of (selector?.matchExpressions ?? []).entries()) {
      const expressionPath = `${path}.matchExpressions[${i}]`;
      const message = nodeLabelWarning(expression.key);
      if (message !== undefined) warnings.push(`${expressionPath}.key: ${expression.key} is ${message}`);
      if (!checkValues) continue;
      for (const [j, value] of (expression.values ?? []).entries())
        for (const wrong of isValidLabelValue(value))
          warnings.push(`${expressionPath}.values[${j}]: ${value} is invalid, ${wrong}`);
    }
  };
  const base = `${at}.affinity.nodeAffinity`;
  const terms = affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const [i, selector] of terms.entries())
    term(selector, `${base}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`, false);
  for (const [i, { preference }] of (
    affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  ).entries())
    term(preference, `${base}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`, true);
  for (const [i, { topologyKey, labelSelector }] of (spec.topologySpreadConstraints ?? []).entries()) {
    const path = `${at}.topologySpreadConstraints[${i}]`;
    const message = nodeLabelWarning(topologyKey);
    if (message !== undefined) warnings.push(`${path}.topologyKey: ${topologyKey} is ${message}`);
    if (labelSelector === undefined) warnings.push(`${path}.labelSelector: ${NULL_SELECTOR}`);
  }
  return warnings;
}

const NULL_SELECTOR = 'a null labelSelector results in matching no pod';

function duplicates(list: readonly object[] | undefined, path: string, field: string): string[] {
  const seen = new Set<string>();
  return (list ?? []).flatMap((item, i) => {
    const value = (item as Readonly<Record<string, string | undefined>>)[field] ?? '';
    if (seen.has(value)) return [`${path}[${i}].${field}: duplicate ${field} ${goQuote(value)}`];
    seen.add(value);
    return [];
  });
}

function fractionWarnings(list: Readonly<Record<string, string>> | undefined, path: string): string[] {
  return ['memory', 'ephemeral-storage'].flatMap((name) => {
    const value = list?.[name];
    return value !== undefined && scaledQuantity(quantityOf(value), -3) % 1000n !== 0n
      ? [`${key(path, name)}: fractional byte value ${goQuote(value)} is invalid, must be an integer`]
      : [];
  });
}

function containerWarnings(
  spec: Spec,
  annotations: Readonly<Record<string, string>>,
  annotationsPath: string,
  at: string,
  isTemplate: boolean,
): string[] {
  const warnings: string[] = [];
  for (const [container, path] of containersWithPaths(spec, at)) {
    const { name, resources, securityContext } = container;
    const seccomp = `${SECCOMP_CONTAINER}${name}`;
    if (securityContext?.seccompProfile === undefined && annotations[seccomp] !== undefined)
      warnings.push(
        `${key(annotationsPath, seccomp)}: non-functional in v1.27+; use the "seccompProfile" field instead`,
      );
    const appArmor = `${APP_ARMOR_CONTAINER}${name}`;
    const profile = annotations[appArmor];
    if (
      isTemplate &&
      profile !== undefined &&
      securityContext?.appArmorProfile === undefined &&
      !saysTheSame(spec.securityContext?.appArmorProfile, profile)
    )
      warnings.push(
        `${key(annotationsPath, appArmor)}: deprecated since v1.30; use the "appArmorProfile" field instead`,
      );
    const [memory, storage] = [['memory'], ['ephemeral-storage']].map((names) =>
      (['limits', 'requests'] as const).flatMap((list) =>
        fractionWarnings(pick(resources?.[list], names), `${path}.resources.${list}`),
      ),
    );
    warnings.push(...(memory ?? []), ...(storage ?? []), ...envWarnings(container.env, `${path}.env`));
  }
  return warnings;
}

function pick(
  list: Readonly<Record<string, string>> | undefined,
  names: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(list ?? {}).filter(([name]) => names.includes(name)));
}

function saysTheSame(profile: corev1.AppArmorProfile | undefined, annotation: string): boolean {
  if (profile === undefined) return false;
  if (annotation === 'unconfined') return profile.type === 'Unconfined';
  if (annotation === 'runtime/default') return profile.type === 'RuntimeDefault';
  return profile.type === 'Localhost' && annotation === `localhost/${profile.localhostProfile ?? ''}`;
}

/** A name that is defined again, unless the new value builds on the old one: `X=a`, `X=$(X)b`. */
function envWarnings(env: readonly corev1.EnvVar[] | undefined, path: string): string[] {
  if (env === undefined || env.length < 2) return [];
  const names = new Set<string>();
  return env.flatMap(({ name, value = '', valueFrom }, i) => {
    if (!names.has(name)) {
      names.add(name);
      return [];
    }
    const reference = `$(${name})`;
    return valueFrom !== undefined || value === reference || !value.includes(reference)
      ? [
          `${path}[${i}]: hides previous definition of ${goQuote(name)}, which may be dropped when using apply`,
        ]
      : [];
  });
}

function portWarnings(spec: Spec, at: string): string[] {
  const warnings: string[] = [];
  const byPort = new Map<string, { readonly path: string; readonly port: corev1.ContainerPort }[]>();
  const names = new Map<string, string>();
  const nameWarnings: string[] = [];
  for (const [container, path] of containersWithPaths(spec, at)) {
    for (const [i, port] of (container.ports ?? []).entries()) {
      const here = `${path}.ports[${i}]`;
      const { hostIP = '', hostPort = 0, name = '' } = port;
      if (hostIP !== '' && hostPort === 0)
        warnings.push(`${here}: hostIP set without hostPort: ${goStruct(port)}`);
      const id = `${port.containerPort}/${port.protocol}`;
      const others = byPort.get(id) ?? [];
      for (const other of others) {
        const { hostIP: otherIp = '', hostPort: otherPort = 0 } = other.port;
        const definition = `port definition with ${other.path}`;
        if (hostIP === otherIp && hostPort === otherPort) warnings.push(`${here}: duplicate ${definition}`);
        else if (hostPort === 0 || otherPort === 0) warnings.push(`${here}: overlapping ${definition}`);
        else if (hostPort === otherPort && (hostIP === '') !== (otherIp === ''))
          warnings.push(`${here}: dangerously ambiguous ${definition}`);
      }
      byPort.set(id, [...others, { path: here, port }]);
      const first = names.get(name);
      if (name !== '' && first !== undefined)
        nameWarnings.push(
          `${here}: duplicate port name ${goQuote(name)} with ${first}, services and probes that select ports by name will use ${first}`,
        );
      else if (name !== '') names.set(name, here);
    }
  }
  return [...warnings, ...nameWarnings];
}

/** Go's %+v of a port. */
function goStruct({
  name = '',
  hostPort = 0,
  containerPort,
  protocol,
  hostIP = '',
}: corev1.ContainerPort): string {
  return `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol ?? ''} HostIP:${hostIP}}`;
}

function affinityWarnings(spec: Spec, at: string): string[] {
  return (['podAffinity', 'podAntiAffinity'] as const).flatMap((kind) => {
    const affinity = spec.affinity?.[kind];
    const path = `${at}.affinity.${kind}`;
    const missing = (term: corev1.PodAffinityTerm | undefined, field: string): string[] =>
      term?.labelSelector === undefined ? [`${field}.labelSelector: ${NULL_SELECTOR}`] : [];
    return [
      ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, i) =>
        missing(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${i}]`),
      ),
      ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((term, i) =>
        missing(
          term.podAffinityTerm,
          `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm`,
        ),
      ),
    ];
  });
}
