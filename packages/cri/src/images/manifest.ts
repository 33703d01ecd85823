import { arch } from 'node:process';
import { parseJson, record, text } from './image-config.ts';
import { DIGEST } from './reference.ts';

/** OCI descriptors, manifests and indexes, and Docker's equal ones (image-spec `manifest.md`, `image-index.md`). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export const MANIFEST_TYPES: readonly string[] = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
export const INDEX_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];

export function parseManifest(json: string): Manifest {
  const manifest = record(parseJson(json), 'manifest');
  if (manifest['schemaVersion'] !== 2) throw new Error('the manifest is not of schema version 2');
  const { layers } = manifest;
  if (!Array.isArray(layers)) throw new Error('manifest: layers is not a list');
  return {
    config: descriptor(manifest['config'], 'manifest: config'),
    layers: layers.map((layer, index) => descriptor(layer, `manifest: layers[${index}]`)),
  };
}

export function parseIndex(json: string): readonly Descriptor[] {
  const { manifests } = record(parseJson(json), 'index');
  if (!Array.isArray(manifests)) throw new Error('index: manifests is not a list');
  return manifests.map((manifest, index) => descriptor(manifest, `index: manifests[${index}]`));
}

/** Go's names for Node's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

export function hostPlatform(): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[arch] ?? arch };
}

/** The entry of an index for a platform; throws when there is none. */
export function choosePlatform(index: readonly Descriptor[], wanted: Platform = hostPlatform()): Descriptor {
  const fits = index.filter(
    ({ platform }) =>
      platform === undefined ||
      (platform.os === wanted.os &&
        platform.architecture === wanted.architecture &&
        (wanted.variant === undefined ||
          platform.variant === undefined ||
          platform.variant === wanted.variant)),
  );
  // An entry that names the platform is better than one that names none.
  const best = fits.find(({ platform }) => platform !== undefined) ?? fits[0];
  if (best === undefined)
    throw new Error(`no match for platform in manifest: not found (${wanted.os}/${wanted.architecture})`);
  return best;
}

function descriptor(value: unknown, what: string): Descriptor {
  const fields = record(value, what);
  const digest = text(fields['digest'], `${what}.digest`) ?? '';
  if (!DIGEST.test(digest)) throw new Error(`${what}.digest is not a sha256 digest`);
  const size = fields['size'];
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw new Error(`${what}.size is not a size`);
  const annotations = record(fields['annotations'] ?? {}, `${what}.annotations`);
  const platform = fields['platform'] ? record(fields['platform'], `${what}.platform`) : undefined;
  const variant = text(platform?.['variant'], `${what}.platform.variant`);
  return {
    mediaType: text(fields['mediaType'], `${what}.mediaType`) ?? '',
    digest,
    size: size as number,
    annotations: Object.fromEntries(Object.entries(annotations).map(([key, item]) => [key, String(item)])),
    ...(platform !== undefined && {
      platform: {
        os: text(platform['os'], `${what}.platform.os`) ?? '',
        architecture: text(platform['architecture'], `${what}.platform.architecture`) ?? '',
        ...(variant !== undefined && { variant }),
      },
    }),
  };
}
