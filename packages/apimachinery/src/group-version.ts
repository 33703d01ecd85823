/** Groups, versions, kinds and resources as strings and back (k8s.io/apimachinery/pkg/runtime/schema). */
export interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

export interface GroupVersionKind extends GroupVersion {
  readonly kind: string;
}

export interface GroupVersionResource extends GroupVersion {
  readonly resource: string;
}

const EMPTY: GroupVersion = { group: '', version: '' };

/** `apps/v1` → apps, v1; `v1` → the core group; undefined for more than one slash. */
export function parseGroupVersion(text: string): GroupVersion | undefined {
  if (text === '' || text === '/') return EMPTY;
  const slash = text.indexOf('/');
  if (slash < 0) return { group: '', version: text };
  if (text.indexOf('/', slash + 1) >= 0) return undefined;
  return { group: text.slice(0, slash), version: text.slice(slash + 1) };
}

/** What to say where `parseGroupVersion` gives undefined. */
export function groupVersionError(text: string): string {
  return `unexpected GroupVersion string: ${text}`;
}

/** The `apiVersion` of objects: `apps/v1`, or `v1` in the core group. */
export function formatGroupVersion({ group, version }: GroupVersion): string {
  return group === '' ? version : `${group}/${version}`;
}

/** As log lines and errors print it: `apps/v1, Kind=Deployment`. */
export function formatGroupVersionKind({ group, version, kind }: GroupVersionKind): string {
  return `${group}/${version}, Kind=${kind}`;
}

/** An object's kind; a malformed apiVersion gives empty group and version, as upstream. */
export function groupVersionKindOf(object: {
  readonly apiVersion?: string;
  readonly kind?: string;
}): GroupVersionKind {
  const { group, version } = parseGroupVersion(object.apiVersion ?? '') ?? EMPTY;
  return { group, version, kind: object.kind ?? '' };
}

const VERSION = /^v([0-9]{1,9})(?:(alpha|beta)([0-9]{1,9}))?$/;
const STABILITY = { alpha: 0, beta: 1, stable: 2 } as const;

/**
 * Orders versions by priority, highest first: v2, v1, v2beta1, v1beta2, v1alpha1, and last what is no Kubernetes
 * version, by name (k8s.io/apimachinery/pkg/version, CompareKubeAwareVersionStrings).
 */
export function compareVersionPriority(left: string, right: string): number {
  const a = VERSION.exec(left);
  const b = VERSION.exec(right);
  if (a === null || b === null) {
    if (a !== null) return -1;
    if (b !== null) return 1;
    return left < right ? -1 : left > right ? 1 : 0;
  }
  const stability = stabilityOf(b) - stabilityOf(a);
  if (stability !== 0) return stability;
  return Number(b[1]) - Number(a[1]) || Number(b[3] ?? 0) - Number(a[3] ?? 0);
}

function stabilityOf(match: RegExpExecArray): number {
  return STABILITY[(match[2] as 'alpha' | 'beta' | undefined) ?? 'stable'];
}
