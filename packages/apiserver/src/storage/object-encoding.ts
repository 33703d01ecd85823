/**
 * The one text form in which objects of a kind are kept and served.
 *
 *     stored   {"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a",…},"data":{…}}\n
 *     served   {"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"a",…},"data":{…}}\n
 *
 * Both start with the same prefix, which depends on the kind alone, so the place for the resource version is known
 * without looking, and an object of another served version (of the same shape) is another prefix before the same rest.
 * Metadata is never empty (objects have names), hence the comma after the version. Hot: guarded by bench/apiserver.
 */
import type { KubeObject } from '@k8ts/api';

export interface ObjectEncoding {
  readonly kind: string;
  readonly apiVersion: string;
  /** `{"kind":"ConfigMap","apiVersion":"v1","metadata":{` */
  readonly prefix: Buffer;
  readonly prefixText: string;
  /** Where `"metadata"` starts in the prefix: list items leave out what comes before it, as upstream's do. */
  readonly metadataAt: number;
}

export function createObjectEncoding(apiVersion: string, kind: string): ObjectEncoding {
  const head = `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},`;
  return {
    kind,
    apiVersion,
    prefix: Buffer.from(`${head}"metadata":{`),
    prefixText: `${head}"metadata":{`,
    metadataAt: Buffer.byteLength(head),
  };
}

/** The stored form. Whatever resource version the object carries is left out. */
export function encodeStored(encoding: ObjectEncoding, object: KubeObject): Buffer {
  return Buffer.from(encoding.prefixText + textAfterPrefix(object, false));
}

/** The served form of an object that did not come from the store (a dry run's result); with its own resource version. */
export function encodeServed(encoding: ObjectEncoding, object: KubeObject): Buffer {
  return Buffer.from(encoding.prefixText + textAfterPrefix(object, true));
}

function textAfterPrefix(object: KubeObject, withResourceVersion: boolean): string {
  const { resourceVersion, ...metadata } = object.metadata;
  const first =
    withResourceVersion && resourceVersion !== undefined ? { resourceVersion, ...metadata } : metadata;
  let text = JSON.stringify(first).slice(1);
  for (const key in object) {
    if (key === 'kind' || key === 'apiVersion' || key === 'metadata') continue;
    const value = JSON.stringify((object as unknown as Record<string, unknown>)[key]);
    if (value !== undefined) text += `,${JSON.stringify(key)}:${value}`;
  }
  return `${text}}\n`;
}

/** Whether bytes start as this encoding's do. Those of another storage version, of an older k8ts, do not. */
export function isEncodedAs(encoding: ObjectEncoding, bytes: Uint8Array): boolean {
  const { prefix } = encoding;
  return bytes.length > prefix.length && prefix.compare(bytes, 0, prefix.length) === 0;
}

/** Served form from the stored one. */
export function spliceResourceVersion(
  encoding: ObjectEncoding,
  stored: Uint8Array,
  revision: number,
): Buffer {
  return withHead(encoding.prefix, stored, encoding.prefix.length, revision);
}

/** Served form at another revision, from a served form: what a DELETED event shows. */
export function replaceResourceVersion(
  encoding: ObjectEncoding,
  served: Uint8Array,
  revision: number,
): Buffer {
  return withHead(encoding.prefix, served, afterResourceVersion(encoding, served), revision);
}

/** Served form of another version of the same shape. */
export function respell(from: ObjectEncoding, to: ObjectEncoding, served: Uint8Array): Buffer {
  const head = to.prefix;
  const bytes = Buffer.allocUnsafe(head.length + served.length - from.prefix.length);
  head.copy(bytes, 0);
  bytes.set(served.subarray(from.prefix.length), head.length);
  return bytes;
}

function withHead(prefix: Buffer, source: Uint8Array, from: number, revision: number): Buffer {
  const version = `"resourceVersion":"${revision}",`;
  const bytes = Buffer.allocUnsafe(prefix.length + version.length + source.length - from);
  prefix.copy(bytes, 0);
  bytes.write(version, prefix.length, 'latin1');
  bytes.set(from === 0 ? source : source.subarray(from), prefix.length + version.length);
  return bytes;
}

const QUOTE = 0x22;
const RESOURCE_VERSION_START = '"resourceVersion":"'.length;

function afterResourceVersion(encoding: ObjectEncoding, served: Uint8Array): number {
  return served.indexOf(QUOTE, encoding.prefix.length + RESOURCE_VERSION_START) + 2;
}
