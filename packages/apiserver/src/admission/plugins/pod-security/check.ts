/** What a check is, and the words that all of them share. */
import type { corev1 } from '@k8ts/api';

type PodSpec = corev1.PodSpec;
export type AnyContainer = corev1.Container | corev1.EphemeralContainer;
export type AnySecurityContext = corev1.PodSecurityContext | corev1.SecurityContext;

export interface PodMetadata {
  readonly annotations?: Readonly<Record<string, string>>;
}

/** `reason` says which rule; `detail` says by what it is broken. */
export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

export type PodCheck = (spec: PodSpec, metadata: PodMetadata) => Violation | undefined;

export interface Check {
  /** Upstream's. */
  readonly id: string;
  /** The minor versions in which the check came or changed, ascending. */
  readonly versions: readonly { readonly since: number; readonly check: PodCheck }[];
  /** The baseline check that says the same, but less strictly; it is left out where this one is made. */
  readonly overrides?: string;
}

export function containersOf(spec: PodSpec): readonly AnyContainer[] {
  const { initContainers = [], containers, ephemeralContainers = [] } = spec;
  return initContainers.length === 0 && ephemeralContainers.length === 0
    ? containers
    : [...initContainers, ...containers, ...ephemeralContainers];
}

/** Names of the containers for which `isBad`; asks it of every container. */
export function containersThat(spec: PodSpec, isBad: (container: AnyContainer) => boolean): string[] {
  return containersOf(spec)
    .filter((container) => isBad(container))
    .map(({ name }) => name);
}

/** Who has a bad security context: `['pod', 'containers "a", "b"']`. Asks of all of them. */
export function settersOf(spec: PodSpec, isBad: (context: AnySecurityContext) => boolean): string[] {
  const bad = (context: AnySecurityContext | undefined): boolean => context !== undefined && isBad(context);
  const setters = bad(spec.securityContext) ? ['pod'] : [];
  const names = containersThat(spec, ({ securityContext }) => bad(securityContext));
  if (names.length > 0) setters.push(containersText(names));
  return setters;
}

/** `container "a"`, `containers "a", "b"` */
export function containersText(names: readonly string[]): string {
  return `${plural('container', names.length)} ${quoted(names)}`;
}

/** As upstream quotes: what is inside is left as it is. */
export function quoted(values: readonly string[]): string {
  return values.map((value) => `"${value}"`).join(', ');
}

export function plural(noun: string, count: number): string {
  return count === 1 ? noun : `${noun}s`;
}

/** The verb for so many. */
export function uses(count: number): string {
  return count === 1 ? 'uses' : 'use';
}

export function isWindows({ os }: PodSpec): boolean {
  return os?.name === 'windows';
}

/** Root in a user namespace is nobody outside of it. */
export function hasUserNamespace({ hostUsers }: PodSpec): boolean {
  return hostUsers === false;
}
