import type { corev1 } from '@k8ts/api';
import { baselineChecks } from './baseline-checks.ts';
import type { Check, PodCheck, PodMetadata, Violation } from './check.ts';
import type { LevelVersion } from './policy.ts';
import { restrictedChecks } from './restricted-checks.ts';

/** The minor version in which a check changed last; later ones check the same. */
const NEWEST = Math.max(
  ...[...baselineChecks, ...restrictedChecks].flatMap(({ versions }) => versions.map(({ since }) => since)),
);

const checksOf = new Map<string, readonly PodCheck[]>();

/** What a pod does that a level forbids; nothing: it is allowed. */
export function evaluatePod(
  { level, version }: LevelVersion,
  spec: corev1.PodSpec,
  metadata: PodMetadata,
): readonly Violation[] {
  if (level === 'privileged') return [];
  const minor = version === 'latest' ? NEWEST : Math.min(version, NEWEST);
  const key = `${level}:${minor}`;
  let checks = checksOf.get(key);
  if (checks === undefined) checksOf.set(key, (checks = selectChecks(level, minor)));
  const violations: Violation[] = [];
  for (const check of checks) {
    const violation = check(spec, metadata);
    if (violation !== undefined) violations.push(violation);
  }
  return violations;
}

function selectChecks(level: 'baseline' | 'restricted', minor: number): readonly PodCheck[] {
  const restricted = level === 'baseline' ? [] : restrictedChecks.filter((check) => inVersion(check, minor));
  const overridden = new Set(restricted.map(({ overrides }) => overrides));
  return [...baselineChecks.filter(({ id }) => !overridden.has(id)), ...restricted].flatMap(
    (check) => inVersion(check, minor) ?? [],
  );
}

function inVersion({ versions }: Check, minor: number): PodCheck | undefined {
  return versions.findLast(({ since }) => since <= minor)?.check;
}

/** `host namespaces, privileged` */
export function reasonsText(violations: readonly Violation[]): string {
  return violations.map(({ reason }) => reason).join(', ');
}

/** `host namespaces (hostNetwork=true), privileged (container "a" must not set …)` */
export function detailsText(violations: readonly Violation[]): string {
  return violations.map(({ reason, detail }) => `${reason} (${detail})`).join(', ');
}
