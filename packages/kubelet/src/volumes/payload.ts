import type { corev1 } from '@k8ts/api';

import { type ConfigSource, namedContainer } from '../container/environment.ts';
import { fieldValue, type PodAddresses, resourceFieldValue } from '../container/field-ref.ts';
import type { Pod, ResourceList } from '../pod/types.ts';
import type { VolumeFile } from './atomic-writer.ts';

/** Gives tokens of a pod's service account. */
export interface TokenSource {
  token(pod: Pod, audience: string, expirationSeconds: number): Promise<string>;
}

export interface PayloadInput {
  readonly pod: Pod;
  readonly addresses: PodAddresses;
  readonly allocatable: ResourceList;
  readonly config: ConfigSource;
  readonly tokens: TokenSource;
  readonly isNotFound: (error: unknown) => boolean;
}

const DEFAULT_MODE = 0o644;
const DEFAULT_TOKEN_SECONDS = 3600;

/** The files of a configMap, secret, downwardAPI or projected volume. Throws what is missing, in upstream's words. */
export async function volumePayload(
  input: PayloadInput,
  volume: corev1.Volume,
): Promise<Map<string, VolumeFile>> {
  const files = new Map<string, VolumeFile>();
  if (volume.configMap !== undefined) {
    await addConfigMap(input, files, volume.configMap, volume.configMap.defaultMode ?? DEFAULT_MODE);
  } else if (volume.secret !== undefined) {
    const { secretName, items, optional, defaultMode } = volume.secret;
    await addSecret(
      input,
      files,
      {
        name: secretName ?? '',
        ...(items === undefined ? {} : { items }),
        ...(optional === undefined ? {} : { optional }),
      },
      defaultMode ?? DEFAULT_MODE,
    );
  } else if (volume.downwardAPI !== undefined) {
    addDownward(input, files, volume.downwardAPI.items ?? [], volume.downwardAPI.defaultMode ?? DEFAULT_MODE);
  } else if (volume.projected !== undefined) {
    const mode = volume.projected.defaultMode ?? DEFAULT_MODE;
    for (const source of volume.projected.sources ?? []) {
      if (source.configMap !== undefined) await addConfigMap(input, files, source.configMap, mode);
      else if (source.secret !== undefined) await addSecret(input, files, source.secret, mode);
      else if (source.downwardAPI !== undefined)
        addDownward(input, files, source.downwardAPI.items ?? [], mode);
      else if (source.serviceAccountToken !== undefined)
        await addToken(input, files, source.serviceAccountToken, mode);
      else throw new Error(`projected volume "${volume.name}" has a source that is not supported`);
    }
  }
  return files;
}

interface KeyedSource {
  readonly name?: string;
  readonly items?: readonly corev1.KeyToPath[];
  readonly optional?: boolean;
}

async function addConfigMap(
  input: PayloadInput,
  files: Map<string, VolumeFile>,
  source: KeyedSource,
  mode: number,
): Promise<void> {
  const namespace = input.pod.metadata.namespace ?? '';
  const object = await optionally(input, source, () => input.config.configMap(namespace, source.name ?? ''));
  const data = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(object?.data ?? {})) data.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(object?.binaryData ?? {}))
    data.set(key, Buffer.from(value, 'base64'));
  addKeys(files, data, source, mode, 'configmap references non-existent config key');
}

async function addSecret(
  input: PayloadInput,
  files: Map<string, VolumeFile>,
  source: KeyedSource,
  mode: number,
): Promise<void> {
  const namespace = input.pod.metadata.namespace ?? '';
  const object = await optionally(input, source, () => input.config.secret(namespace, source.name ?? ''));
  const data = new Map(
    Object.entries(object?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]),
  );
  addKeys(files, data, source, mode, 'references non-existent secret key');
}

async function optionally<T>(
  input: PayloadInput,
  source: KeyedSource,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (source.optional === true && input.isNotFound(error)) return undefined;
    throw error;
  }
}

function addKeys(
  files: Map<string, VolumeFile>,
  data: ReadonlyMap<string, Buffer>,
  source: KeyedSource,
  mode: number,
  missing: string,
): void {
  if (source.items === undefined || source.items.length === 0) {
    for (const [key, value] of data) files.set(key, { data: value, mode });
    return;
  }
  for (const item of source.items) {
    const value = data.get(item.key);
    if (value === undefined) {
      if (source.optional === true) continue;
      throw new Error(`${missing}: ${item.key}`);
    }
    files.set(item.path, { data: value, mode: item.mode ?? mode });
  }
}

function addDownward(
  input: PayloadInput,
  files: Map<string, VolumeFile>,
  items: readonly corev1.DownwardAPIVolumeFile[],
  mode: number,
): void {
  for (const item of items) {
    let text = '';
    if (item.fieldRef !== undefined) {
      text = fieldValue(input.pod, item.fieldRef.fieldPath, input.addresses);
    } else if (item.resourceFieldRef !== undefined) {
      const { containerName, resource, divisor } = item.resourceFieldRef;
      text = resourceFieldValue(
        namedContainer(input.pod, containerName ?? ''),
        resource,
        divisor,
        input.allocatable,
      );
    }
    files.set(item.path, { data: Buffer.from(text), mode: item.mode ?? mode });
  }
}

async function addToken(
  input: PayloadInput,
  files: Map<string, VolumeFile>,
  source: corev1.ServiceAccountTokenProjection,
  mode: number,
): Promise<void> {
  const { pod } = input;
  const token = await input.tokens.token(
    pod,
    source.audience ?? '',
    source.expirationSeconds ?? DEFAULT_TOKEN_SECONDS,
  );
  const uid = commonUser(pod);
  // A token is for the pod's own user only, where that is known (KEP-2451).
  const own = uid !== undefined || pod.spec.securityContext?.fsGroup !== undefined;
  files.set(source.path, { data: Buffer.from(token), mode: own ? 0o600 : mode, uid });
}

/** The user that all containers run as; undefined when it is not the same or not said. */
function commonUser(pod: Pod): number | undefined {
  const shared = pod.spec.securityContext?.runAsUser;
  const users = [
    ...(pod.spec.initContainers ?? []),
    ...pod.spec.containers,
    ...(pod.spec.ephemeralContainers ?? []),
  ].map(({ securityContext }) => securityContext?.runAsUser ?? shared);
  return users.every((user) => user === users[0]) ? users[0] : undefined;
}
