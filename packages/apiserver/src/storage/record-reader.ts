/** How records are made of what the store holds: at once, or, where another program converts objects, after asking it. */
import type { KubeObject } from '@k8ts/api';
import { textFromKey, type KeyValue } from '@k8ts/store';
import { isEncodedAs, type ObjectEncoding } from './object-encoding.ts';
import { ObjectRecord, type RecordFamily } from './object-record.ts';

/** Between the version of a storage and those in which the store holds its objects, where that takes asking somebody. */
export interface StoredConversion {
  /** In which objects are stored. */
  readonly storedEncoding: ObjectEncoding;
  /**
   * Stored objects, of whatever version, in the version of the storage; all or none. Rejects with a StatusError. What is
   * returned is nobody else's.
   */
  fromStored(objects: readonly KubeObject[]): Promise<readonly KubeObject[]>;
  /** An object of the storage's version as it is to be stored. Rejects with a StatusError. */
  toStored(object: KubeObject): Promise<KubeObject>;
}

/** So many objects, or so many bytes of large ones, are converted with one question. */
const BATCH_OBJECTS = 500;
const BATCH_BYTES = 1024 * 1024;

export class RecordReader {
  readonly family: RecordFamily;
  /** `/registry/apps/deployments/` */
  readonly prefix: string;
  readonly #namespaced: boolean;
  readonly #conversion: StoredConversion | undefined;

  constructor(
    family: RecordFamily,
    prefix: string,
    namespaced: boolean,
    conversion: StoredConversion | undefined,
  ) {
    this.family = family;
    this.prefix = prefix;
    this.#namespaced = namespaced;
    this.#conversion = conversion;
  }

  /** Nothing here ever waits. */
  get isImmediate(): boolean {
    return this.#conversion === undefined;
  }

  /** Whether somebody must be asked before there can be a record. */
  mustConvert({ value }: KeyValue): boolean {
    return this.#conversion !== undefined && !isEncodedAs(this.family.encoding, value);
  }

  /** Of what need not be converted. `object`, when known, is what the value says. */
  read(kv: KeyValue, object?: KubeObject): ObjectRecord {
    const { namespace, name } = this.#place(kv.key);
    return ObjectRecord.fromStored(this.family, kv.key, namespace, name, kv.modRevision, kv.value, object);
  }

  /**
   * In order. What is no object is left to `onCorrupt`, and undefined in the result; without it, it is thrown. Rejects when
   * something cannot be converted.
   */
  async readAll(
    items: readonly KeyValue[],
    onCorrupt: (kv: KeyValue, error: unknown) => void = (_kv, error) => {
      throw error;
    },
  ): Promise<(ObjectRecord | undefined)[]> {
    const records: (ObjectRecord | undefined)[] = [];
    const waiting: Waiting[] = [];
    for (const [at, kv] of items.entries()) {
      records.push(undefined);
      try {
        if (!this.mustConvert(kv)) records[at] = this.read(kv);
        else waiting.push({ at, kv, object: JSON.parse(Buffer.from(kv.value).toString()) as KubeObject });
      } catch (error) {
        onCorrupt(kv, error);
      }
    }
    for (const batch of batchesOf(waiting)) {
      const conversion = this.#conversion as StoredConversion;
      const objects = await conversion.fromStored(batch.map(({ object }) => object));
      for (const [index, { at, kv }] of batch.entries()) {
        const { namespace, name } = this.#place(kv.key);
        const isStale = !isEncodedAs(conversion.storedEncoding, kv.value);
        const object = objects[index] as KubeObject;
        records[at] = ObjectRecord.converted(
          this.family,
          kv.key,
          namespace,
          name,
          kv.modRevision,
          object,
          isStale,
        );
      }
    }
    return records;
  }

  #place(key: string): { readonly namespace: string; readonly name: string } {
    const path = key.slice(this.prefix.length);
    const slash = this.#namespaced ? path.indexOf('/') : -1;
    return {
      namespace: slash < 0 ? '' : textFromKey(path.slice(0, slash)),
      name: textFromKey(path.slice(slash + 1)),
    };
  }
}

interface Waiting {
  /** The place in the result. */
  readonly at: number;
  readonly kv: KeyValue;
  readonly object: KubeObject;
}

function* batchesOf(waiting: readonly Waiting[]): Generator<readonly Waiting[]> {
  let from = 0;
  let bytes = 0;
  for (const [at, { kv }] of waiting.entries()) {
    bytes += kv.value.length;
    if (at > from && (bytes > BATCH_BYTES || at - from === BATCH_OBJECTS)) {
      yield waiting.slice(from, at);
      from = at;
      bytes = kv.value.length;
    }
  }
  if (from < waiting.length) yield waiting.slice(from);
}
