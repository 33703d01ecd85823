/** Volume plugins that are gone, and files that would hide each other within a volume. */
import type { corev1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { fractionalStorageWarnings } from './claim-warnings.ts';

/** In upstream's order. */
const PLUGINS = [
  ['photonPersistentDisk', 'photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['gitRepo', 'gitRepo', 'deprecated in v1.11, and disabled by default in v1.33+'],
  ['scaleIO', 'scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['flocker', 'flocker', 'deprecated in v1.22, non-functional in v1.25+'],
  ['storageos', 'storageOS', 'deprecated in v1.22, non-functional in v1.25+'],
  ['quobyte', 'quobyte', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['cephfs', 'cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['rbd', 'rbd', 'deprecated in v1.28, non-functional in v1.31+'],
] as const;

export function volumeWarnings(volumes: readonly corev1.Volume[] | undefined, path: string): string[] {
  const warnings: string[] = [];
  for (const [i, volume] of (volumes ?? []).entries()) {
    for (const [field, name, message] of PLUGINS)
      if (volume[field] !== undefined) warnings.push(`${path}[${i}].${name}: ${message}`);
    const claim = volume.ephemeral?.volumeClaimTemplate;
    if (claim !== undefined)
      warnings.push(
        ...fractionalStorageWarnings(claim.spec, `${path}[${i}].ephemeral.volumeClaimTemplate.spec`),
      );
  }
  return [...warnings, ...(volumes ?? []).flatMap(overlapWarnings)];
}

interface Placed {
  readonly path: string;
  readonly source: string;
}

function overlapWarnings(volume: corev1.Volume): string[] {
  const { name, configMap, secret, downwardAPI, projected } = volume;
  const single: readonly (readonly [string, readonly { readonly path?: string }[] | undefined])[] = [
    [`ConfigMap ${goQuote(configMap?.name ?? '')}`, configMap?.items],
    [`Secret ${goQuote(secret?.secretName ?? '')}`, secret?.items],
    ['DownwardAPI', downwardAPI?.items],
  ];
  const warnings: string[] = [];
  for (const [what, items] of single) {
    const placed: Placed[] = [];
    for (const { path = '' } of items ?? [])
      for (const overlap of place(placed, path, '')) warnings.push(overlapText(name, what, overlap));
  }
  const placed: Placed[] = [];
  for (const source of projected?.sources ?? []) {
    if (Object.keys(source).length === 0) {
      warnings.push(`volume ${goQuote(name)} (Projected) has no sources provided`);
      continue;
    }
    for (const [path, from] of projectedPaths(source))
      for (const overlap of place(placed, path, from)) warnings.push(overlapText(name, 'Projected', overlap));
  }
  return warnings;
}

function overlapText(volume: string, what: string, overlap: string): string {
  return `volume ${goQuote(volume)} (${what}): overlapping paths: ${overlap}`;
}

function projectedPaths(source: corev1.VolumeProjection): (readonly [path: string, from: string])[] {
  const { configMap, secret, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
  if (configMap?.items !== undefined)
    return configMap.items.map(({ path }) => [path, `ConfigMap ${goQuote(configMap.name ?? '')}`]);
  if (secret?.items !== undefined)
    return secret.items.map(({ path }) => [path, `Secret ${goQuote(secret.name ?? '')}`]);
  if (downwardAPI?.items !== undefined) return downwardAPI.items.map(({ path }) => [path, 'DownwardAPI']);
  if (serviceAccountToken !== undefined) return [[serviceAccountToken.path, 'ServiceAccountToken']];
  if (clusterTrustBundle !== undefined) {
    const bundle = clusterTrustBundle.name ?? clusterTrustBundle.signerName ?? '';
    return [[clusterTrustBundle.path, `ClusterTrustBundle ${goQuote(bundle)}`]];
  }
  const { certificateChainPath, keyPath, credentialBundlePath } = podCertificate ?? {};
  return [
    ...(certificateChainPath ? [[certificateChainPath, 'PodCertificate chain'] as const] : []),
    ...(keyPath ? [[keyPath, 'PodCertificate key'] as const] : []),
    ...(credentialBundlePath ? [[credentialBundlePath, 'PodCertificate credential bundle'] as const] : []),
  ];
}

/** Adds a path and says which of those before it are the same, above it or below it. */
function place(placed: Placed[], path: string | undefined, source: string): string[] {
  const here: Placed = { path: (path ?? '').replace(/\/+$/, ''), source };
  const overlaps =
    here.path === ''
      ? []
      : placed
          .filter((other) => other.path !== '' && overlap(other.path, here.path))
          .map((other) => `${placeText(here)} with ${placeText(other)}`);
  placed.push(here);
  return overlaps;
}

function overlap(left: string, right: string): boolean {
  return `${left}/`.startsWith(`${right}/`) || `${right}/`.startsWith(`${left}/`);
}

function placeText({ path, source }: Placed): string {
  return source === '' ? goQuote(path) : `${goQuote(path)} (${source})`;
}
