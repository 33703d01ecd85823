import type { PackageFacts } from './facts.ts';

/** The release whose API this is. */
const RELEASE = [1, 36] as const;
/** How many minor releases a pre-release version lives before it is deprecated, and then before it is removed. */
const LIFETIME = 3;

/** Deprecations that Go says in code, not in markers (k8s.io/api/core/v1/lifecycle.go). */
const WRITTEN_BY_HAND: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'v1 ComponentStatus': { deprecated: '1.19' },
  'v1 Endpoints': { deprecated: '1.33', replacement: 'discovery.k8s.io,v1,EndpointSlice' },
};

/**
 * What a client is warned of that asks for the kind in this version; empty when it is not deprecated yet. The rules are
 * those of prerelease-lifecycle-gen, the text that of apiserver/pkg/endpoints/deprecation:
 *
 *     apps/v1beta1 Deployment is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 Deployment
 */
export function deprecationOf(
  packages: readonly PackageFacts[],
  group: string,
  version: string,
  kind: string,
): string {
  const groupVersion = group === '' ? version : `${group}/${version}`;
  const name = `${groupVersion} ${kind}`;
  const facts = packages.find((each) => each.group === group && each.version === version);
  const lifecycle = WRITTEN_BY_HAND[name] ?? facts?.types[kind]?.lifecycle;
  if (lifecycle === undefined) return '';
  const { introduced, replacement } = lifecycle;
  const isPreRelease = /alpha|beta/.test(version);
  const later = (release: string | undefined): string | undefined =>
    isPreRelease && release !== undefined ? plusMinor(release, LIFETIME) : undefined;
  const deprecated = lifecycle['deprecated'] ?? later(introduced);
  if (deprecated === undefined || isAfter(deprecated, RELEASE)) return '';
  const removed = lifecycle['removed'] ?? later(deprecated);
  return [
    `${name} is deprecated in v${deprecated}+`,
    ...(removed === undefined ? [] : [`, unavailable in v${removed}+`]),
    ...(replacement === undefined ? [] : [`; use ${replacementName(replacement)}`]),
  ].join('');
}

/** `apps,v1,Deployment` */
function replacementName(text: string): string {
  const [group = '', version = '', kind = ''] = text.split(',');
  return `${group === '' ? version : `${group}/${version}`} ${kind}`;
}

function parseRelease(release: string): readonly [number, number] {
  const [major = '', minor = ''] = release.split('.');
  return [Number(major), Number(minor)];
}

function plusMinor(release: string, count: number): string {
  const [major, minor] = parseRelease(release);
  return `${major}.${minor + count}`;
}

function isAfter(release: string, [major, minor]: readonly [number, number]): boolean {
  const [itsMajor, itsMinor] = parseRelease(release);
  return itsMajor > major || (itsMajor === major && itsMinor > minor);
}
