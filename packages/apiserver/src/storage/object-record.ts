import type { KubeObject } from '@k8ts/api';
import {
  encodeStored,
  isEncodedAs,
  replaceResourceVersion,
  respell,
  spliceResourceVersion,
  type ObjectEncoding,
} from './object-encoding.ts';

/** What all records of a resource share. */
export interface RecordFamily {
  /** Of the storage version. */
  readonly encoding: ObjectEncoding;
  /** Values for field selectors beside name and namespace. */
  readonly selectableFields: ((object: KubeObject) => Readonly<Record<string, string>>) | undefined;
  /** Objects that came out of the store are prepared by it, e.g. converted from an older storage version. */
  readonly upgrade: (object: KubeObject) => KubeObject;
  /** Those in the storage version are prepared too: the schema of custom resources may be newer than their objects. */
  readonly upgradeAll: boolean;
  /** Objects are stored in another version than this one, so whatever is found in this one is old. */
  readonly isForeign: boolean;
  readonly freeze: (object: KubeObject) => void;
}

const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});

/**
 * One object at one revision: bytes and parsed form, each made when first needed and then shared by everybody who reads
 * it. The parsed form is held weakly: informers of the same process keep what they use alive, and nobody pays for the
 * rest. What selectors look at (labels, fields) is kept once it was asked for.
 */
export class ObjectRecord {
  readonly family: RecordFamily;
  /** The key in the store. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  /** The store holds an older form than this one: even a write that changes nothing is worth something. */
  readonly isStale: boolean;
  /** Stored or, once `#spliced`, served form. */
  #bytes: Uint8Array;
  #spliced: boolean;
  #object: WeakRef<KubeObject> | undefined = undefined;
  #labels: Readonly<Record<string, string>> | undefined = undefined;
  #fields: Readonly<Record<string, string>> | undefined = undefined;
  /** Served forms of other versions, by apiVersion. */
  #others: Map<string, Buffer> | undefined = undefined;

  private constructor(
    family: RecordFamily,
    key: string,
    namespace: string,
    name: string,
    revision: number,
    bytes: Uint8Array,
    spliced: boolean,
    isStale: boolean,
  ) {
    this.family = family;
    this.key = key;
    this.namespace = namespace;
    this.name = name;
    this.revision = revision;
    this.#bytes = bytes;
    this.#spliced = spliced;
    this.isStale = isStale;
  }

  /** `object`, when known, is what `stored` says, not yet shared with anybody: it gets its resource version here. */
  static fromStored(
    family: RecordFamily,
    key: string,
    namespace: string,
    name: string,
    revision: number,
    stored: Uint8Array,
    object: KubeObject | undefined,
  ): ObjectRecord {
    const isAsEncoded = isEncodedAs(family.encoding, stored);
    const isCurrent = isAsEncoded && (!family.upgradeAll || object !== undefined);
    const current = isCurrent ? stored : upgradeStored(family, stored);
    const isStale = family.isForeign || !isAsEncoded || (!isCurrent && !sameBytes(current, stored));
    const record = new ObjectRecord(family, key, namespace, name, revision, current, false, isStale);
    if (object !== undefined) {
      (object.metadata as { resourceVersion?: string }).resourceVersion = String(revision);
      family.freeze(object);
      record.#object = new WeakRef(object);
    }
    return record;
  }

  /** `object` is what somebody has made of what is stored in another version; nobody else's. */
  static converted(
    family: RecordFamily,
    key: string,
    namespace: string,
    name: string,
    revision: number,
    object: KubeObject,
    isStale: boolean,
  ): ObjectRecord {
    const bytes = encodeStored(family.encoding, object);
    return new ObjectRecord(family, key, namespace, name, revision, bytes, false, isStale);
  }

  /** Bytes of its served form, roughly. */
  get size(): number {
    return this.#bytes.length;
  }

  /** Served form in the storage version, ending in a newline. */
  get bytes(): Buffer {
    if (!this.#spliced) {
      this.#bytes = spliceResourceVersion(this.family.encoding, this.#bytes, this.revision);
      this.#spliced = true;
    }
    return this.#bytes as Buffer;
  }

  /** Served form in another version of the same shape. */
  bytesAs(encoding: ObjectEncoding): Buffer {
    if (encoding === this.family.encoding) return this.bytes;
    let bytes = this.#others?.get(encoding.apiVersion);
    if (bytes === undefined) {
      bytes = respell(this.family.encoding, encoding, this.bytes);
      this.#others ??= new Map();
      this.#others.set(encoding.apiVersion, bytes);
    }
    return bytes;
  }

  /** The parsed object: shared, never to be changed. */
  get object(): KubeObject {
    let object = this.#object?.deref();
    if (object === undefined) {
      object = JSON.parse(this.bytes.toString()) as KubeObject;
      this.family.freeze(object);
      this.#object = new WeakRef(object);
    }
    return object;
  }

  get labels(): Readonly<Record<string, string>> {
    return (this.#labels ??= this.object.metadata.labels ?? NO_LABELS);
  }

  get fields(): Readonly<Record<string, string>> {
    return (this.#fields ??= {
      'metadata.name': this.name,
      'metadata.namespace': this.namespace,
      ...this.family.selectableFields?.(this.object),
    });
  }

  /** Whether the stored form is exactly these bytes. */
  isStoredAs(stored: Buffer): boolean {
    if (this.isStale) return false;
    const prefix = this.family.encoding.prefix.length;
    const from = prefix + (this.#spliced ? `"resourceVersion":"${this.revision}",`.length : 0);
    const { length } = this.#bytes;
    return (
      length - from === stored.length - prefix && stored.compare(this.#bytes, from, length, prefix) === 0
    );
  }

  /** The same object as it is shown at a later revision: the state before a deletion, or before it left a selection. */
  at(revision: number): ObjectRecord {
    const { family, key, namespace, name } = this;
    const bytes = this.#spliced
      ? replaceResourceVersion(family.encoding, this.#bytes, revision)
      : this.#bytes;
    const record = new ObjectRecord(
      family,
      key,
      namespace,
      name,
      revision,
      bytes,
      this.#spliced,
      this.isStale,
    );
    const object = this.#object?.deref();
    if (object !== undefined) {
      const moved = {
        ...object,
        metadata: { ...object.metadata, resourceVersion: String(revision) },
      };
      family.freeze(moved);
      record.#object = new WeakRef(moved);
    }
    record.#labels = this.#labels;
    record.#fields = this.#fields;
    return record;
  }
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

function upgradeStored(family: RecordFamily, stored: Uint8Array): Uint8Array {
  const object = JSON.parse(Buffer.from(stored).toString()) as KubeObject;
  return encodeStored(family.encoding, family.upgrade(object));
}
