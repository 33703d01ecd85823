/** Configuration files of group apiserver.config.k8s.io, decoded strictly. */
import { schemaOf } from '@k8ts/api';
import {
  BodyError,
  DecodeError,
  goQuote,
  isJsonObject,
  normalizeObject,
  parseBody,
  strictDecodingError,
  type JsonObject,
} from '@k8ts/apimachinery';

/** A configuration cannot be used; the message is upstream's. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

const GROUP = 'apiserver.config.k8s.io';
/** They differ in name only, for the kinds that are read here. */
const VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `${GROUP}/${version}`);
/** Much more than any configuration has; what is larger is some other file. */
const MAX_BYTES = 3 * 1024 * 1024;

/** YAML or JSON. Throws ConfigurationError. */
export function decodeConfiguration<T>(text: string, kind: string): T {
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw new ConfigurationError(`the configuration is larger than ${String(MAX_BYTES)} bytes`);
  try {
    const { value, strictErrors } = parseBody(text, 'yaml', true);
    if (!isJsonObject(value))
      throw new ConfigurationError(
        `couldn't get version/kind; json parse error: the configuration is not an object`,
      );
    checkKind(value, kind, text);
    const schema = schemaOf(GROUP, 'v1', kind);
    if (schema === undefined) throw new Error(`no schema for ${kind}`);
    const normal = normalizeObject(value, schema, { owned: true });
    const errors = [...strictErrors, ...normal.strictErrors];
    if (errors.length > 0) throw new ConfigurationError(strictDecodingError(errors));
    return normal.object as T;
  } catch (error) {
    if (error instanceof BodyError)
      throw new ConfigurationError(`couldn't get version/kind; json parse error: ${error.message}`);
    if (error instanceof DecodeError) throw new ConfigurationError(error.message);
    throw error;
  }
}

function checkKind({ apiVersion, kind }: JsonObject, expected: string, text: string): void {
  const missing = (field: string): ConfigurationError =>
    new ConfigurationError(`Object '${field}' is missing in '${text}'`);
  if (typeof kind !== 'string' || kind === '') throw missing('Kind');
  if (typeof apiVersion !== 'string' || apiVersion === '') throw missing('apiVersion');
  if (kind === expected && VERSIONS.includes(apiVersion)) return;
  throw new ConfigurationError(`no kind ${goQuote(kind)} is registered for version ${goQuote(apiVersion)}`);
}
