/** `--admission-control-config-file`: what the operator decides for single plugins (k8s.io/apiserver/pkg/admission/config.go). */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import {
  BodyError,
  goQuote,
  isJsonObject,
  parseBody,
  strictDecodingError,
  type JsonObject,
  type JsonValue,
} from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { ConfigurationError, decodeConfiguration } from '../../configuration/decode-configuration.ts';

/** Plugin → its configuration, not yet looked at. */
export type AdmissionConfigurations = ReadonlyMap<string, JsonObject>;

interface AdmissionConfiguration {
  readonly plugins?: readonly {
    readonly name: string;
    /** Relative to the file that names it. */
    readonly path?: string;
    readonly configuration?: JsonObject;
  }[];
}

/** Rejects with ConfigurationError. */
export async function readAdmissionConfiguration(path: string): Promise<AdmissionConfigurations> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ConfigurationError(
      `unable to read admission control configuration from ${goQuote(path)} [${errorMessage(error)}]`,
    );
  });
  const { plugins = [] } = decodeConfiguration<AdmissionConfiguration>(text, 'AdmissionConfiguration');
  const configurations = new Map<string, JsonObject>();
  for (const { name, path: file, configuration } of plugins) {
    if (configurations.has(name)) continue; // the first one counts
    if (configuration !== undefined) configurations.set(name, configuration);
    else if (file) configurations.set(name, await readPlugin(resolve(dirname(path), file)));
  }
  return configurations;
}

async function readPlugin(path: string): Promise<JsonObject> {
  const problem = (error: unknown): ConfigurationError =>
    new ConfigurationError(`Couldn't open admission plugin configuration ${path}: ${errorMessage(error)}`);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw problem(error);
  });
  try {
    const { value, strictErrors } = parseBody(text, 'yaml', true);
    if (strictErrors.length > 0) throw new ConfigurationError(strictDecodingError(strictErrors));
    if (!isJsonObject(value)) throw problem('it is not an object');
    return value;
  } catch (error) {
    throw error instanceof BodyError ? problem(error) : error;
  }
}

/** Nothing, for what is no text. */
export const textOf = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');

/** Throws ConfigurationError unless it is one of the kind, in one of the versions. */
export function checkPluginKind(
  { apiVersion, kind }: JsonObject,
  group: string,
  versions: readonly string[],
  expected: string,
): void {
  if (kind === expected && versions.some((version) => apiVersion === `${group}/${version}`)) return;
  throw new ConfigurationError(
    `no kind ${goQuote(textOf(kind))} is registered for version ${goQuote(textOf(apiVersion))}`,
  );
}

/** Collects the fields of an object that should not be there, `limits[0].foo`, and gives the object, empty where there is none. */
export function knownFields(
  value: JsonValue | undefined,
  known: readonly string[],
  path: string,
  unknown: string[],
): JsonObject {
  if (!isJsonObject(value)) return {};
  for (const name of Object.keys(value))
    if (!known.includes(name))
      unknown.push(`unknown field ${goQuote(path === '' ? name : `${path}.${name}`)}`);
  return value;
}
