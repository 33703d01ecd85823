import { DIGEST } from './reference.ts';

/** The part of an OCI image configuration (image-spec `config.md`) that running a container needs. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly config: {
    readonly User?: string;
    readonly Env?: readonly string[];
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly WorkingDir?: string;
    readonly StopSignal?: string;
    readonly Volumes?: readonly string[];
    readonly Labels?: Readonly<Record<string, string>>;
  };
  /** Digests of the uncompressed layers, lowest first. */
  readonly diffIds: readonly string[];
}

/** More layers than this cannot be mounted on one overlay by the kernel (OVL_MAX_STACK). */
const LAYER_LIMIT = 500;

/** Reads an image configuration from outside. Throws an `Error` naming what is wrong with it. */
export function parseImageConfig(json: string): ImageConfig {
  const root = record(parseJson(json), 'image configuration');
  const rootfs = record(root['rootfs'], 'rootfs');
  if (rootfs['type'] !== 'layers') throw new Error('image configuration: rootfs.type is not "layers"');
  const diffIds = strings(rootfs['diff_ids'], 'rootfs.diff_ids') ?? [];
  if (!diffIds.every((digest) => DIGEST.test(digest))) {
    throw new Error('image configuration: rootfs.diff_ids has something that is no sha256 digest');
  }
  if (diffIds.length > LAYER_LIMIT) throw new Error(`the image has more than ${LAYER_LIMIT} layers`);
  const config = record(root['config'] ?? {}, 'config');
  const volumes = config['Volumes'];
  const labels = config['Labels'];
  return {
    architecture: text(root['architecture'], 'architecture') ?? '',
    os: text(root['os'], 'os') ?? 'linux',
    diffIds,
    config: {
      ...optional('User', text(config['User'], 'config.User')),
      ...optional('Env', strings(config['Env'], 'config.Env')),
      ...optional('Entrypoint', strings(config['Entrypoint'], 'config.Entrypoint')),
      ...optional('Cmd', strings(config['Cmd'], 'config.Cmd')),
      ...optional('WorkingDir', text(config['WorkingDir'], 'config.WorkingDir')),
      ...optional('StopSignal', text(config['StopSignal'], 'config.StopSignal')),
      ...optional(
        'Volumes',
        volumes === undefined || volumes === null
          ? undefined
          : Object.keys(record(volumes, 'config.Volumes')),
      ),
      ...optional(
        'Labels',
        labels === undefined || labels === null ? undefined : stringValues(record(labels, 'config.Labels')),
      ),
    },
  };
}

export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new Error(`not JSON: ${(error as Error).message}`, { cause: error });
  }
}

export function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${what} is not an object`);
  return value as Record<string, unknown>;
}

export function text(value: unknown, what: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new Error(`${what} is not a text`);
  return value;
}

export function strings(value: unknown, what: string): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new Error(`${what} is not a list of texts`);
  }
  return value;
}

function stringValues(value: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}
