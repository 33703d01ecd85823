import { invalidValue, key } from '@k8ts/apimachinery';
import type { FieldError } from '@k8ts/apimachinery';

/** From the least to the most strict. */
export const LEVELS = ['privileged', 'baseline', 'restricted'] as const;
export type Level = (typeof LEVELS)[number];

/** The minor version of Kubernetes whose checks are meant. */
export type PolicyVersion = 'latest' | number;

export interface LevelVersion {
  readonly level: Level;
  readonly version: PolicyVersion;
}

/** What a violation does: refuse the pod, be noted in the audit log, warn the client. */
export const MODES = ['enforce', 'audit', 'warn'] as const;
export type Mode = (typeof MODES)[number];
export type Policy = Readonly<Record<Mode, LevelVersion>>;

export const PREFIX = 'pod-security.kubernetes.io/';
const VERSION = /^v1\.(0|[1-9][0-9]*)$/;

const PRIVILEGED: LevelVersion = { level: 'privileged', version: 'latest' };
/** What holds where neither labels nor the operator say otherwise. */
export const NO_POLICY: Policy = { enforce: PRIVILEGED, audit: PRIVILEGED, warn: PRIVILEGED };

export interface NamespacePolicy {
  readonly policy: Policy;
  readonly errors: readonly FieldError[];
}

/**
 * The policy that a namespace's labels ask for, with the operator's for what they leave out. A label that cannot be read counts
 * as the strictest level for `enforce`, as no policy for the two others, and as the latest version.
 */
export function policyOf(
  labels: Readonly<Record<string, string>> = {},
  defaults: Policy = NO_POLICY,
): NamespacePolicy {
  if (!Object.keys(labels).some((name) => name.startsWith(PREFIX))) return { policy: defaults, errors: [] };
  const errors: FieldError[] = [];
  const read = <T>(
    name: string,
    parse: (text: string) => T | undefined,
    problem: string,
    otherwise: T,
  ): T | undefined => {
    const text = labels[PREFIX + name];
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value !== undefined) return value;
    errors.push(invalidValue(key('metadata.labels', PREFIX + name), text, problem));
    return otherwise;
  };
  const level = (mode: Mode): Level | undefined =>
    read(
      mode,
      parseLevel,
      `must be one of ${LEVELS.join(', ')}`,
      mode === 'enforce' ? 'restricted' : 'privileged',
    );
  const version = (mode: Mode): PolicyVersion | undefined =>
    read(`${mode}-version`, parseVersion, 'must be "latest" or "v1.x"', 'latest');

  const policyFor = (mode: Mode): LevelVersion => ({
    level: level(mode) ?? defaults[mode].level,
    version: version(mode) ?? defaults[mode].version,
  });
  const enforce = policyFor('enforce');
  const audit = policyFor('audit');
  const given = policyFor('warn');
  // Who is refused is warned: of workloads whose pods would be.
  const follows =
    labels[`${PREFIX}warn`] === undefined &&
    parseLevel(labels[`${PREFIX}enforce`] ?? '') !== undefined &&
    isStricter(enforce.level, given.level);
  const hasVersion = labels[`${PREFIX}warn-version`] !== undefined;
  const warn = follows
    ? { level: enforce.level, version: hasVersion ? given.version : enforce.version }
    : given;
  return { policy: { enforce, audit, warn }, errors };
}

export function parseLevel(text: string): Level | undefined {
  return LEVELS.find((level) => level === text);
}

export function parseVersion(text: string): PolicyVersion | undefined {
  if (text === 'latest') return text;
  const minor = VERSION.exec(text)?.[1];
  return minor === undefined ? undefined : Number(minor);
}

/** `restricted:v1.35` */
export function levelVersionText({ level, version }: LevelVersion): string {
  return `${level}:${versionText(version)}`;
}

/** `latest` or `v1.35` */
export function versionText(version: PolicyVersion): string {
  return version === 'latest' ? version : `v1.${version}`;
}

export function sameLevelVersion(one: LevelVersion, other: LevelVersion): boolean {
  return one.level === other.level && one.version === other.version;
}

export function isStricter(one: Level, other: Level): boolean {
  return LEVELS.indexOf(one) > LEVELS.indexOf(other);
}
