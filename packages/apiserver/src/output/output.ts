/** Objects, lists and events in the form that was asked for. */
import { schemaOf, type KubeObject, type Schema } from '@k8ts/api';
import {
  encodeProtobuf,
  encodeProtobufWatchFrame,
  formatYaml,
  hasProtobuf,
  notAcceptable,
} from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import type { RequestContext } from '../request/request-context.ts';
import type { ListResult, ObjectResult, RecordResult } from '../request/result.ts';
import { bytesOf, isCustom, objectOf, type ServedResource } from '../registry/served-resource.ts';
import type { EmittedEvent, EventEncoder } from '../watch-cache/watch-group.ts';
import { jsonEventEncoder, mappedEventEncoder } from './event-bytes.ts';
import type { OutputFormat } from './media-types.ts';
import { parseIncludeObject, printTable, type Printing } from '../printing/index.ts';
import { recordsOf } from '../registry/generic/list.ts';

export interface Output {
  readonly clock: Clock;
}

/** An encoder for events that can also write the frames which are no changes of objects. */
export interface FramedEventEncoder extends EventEncoder {
  frame(type: 'BOOKMARK' | 'ERROR', object: object): Buffer;
}

export function encodeRecord(
  output: Output,
  context: RequestContext,
  format: OutputFormat,
  { served, record }: RecordResult,
): Buffer {
  if (format.transform === 'none' && format.serializer === 'json' && !format.pretty)
    return bytesOf(served, record);
  return formatObject(format, transformed(output, context, format, served, objectOf(served, record)));
}

export function encodeObject(
  output: Output,
  context: RequestContext,
  format: OutputFormat,
  { served, object }: ObjectResult,
): Buffer {
  const shown =
    served === undefined ? object : transformed(output, context, format, served, object as KubeObject);
  return formatObject(format, shown);
}

/** A list in any other form than plain JSON. Yields between parts of long lists. */
export async function encodeWholeList(
  output: Output,
  context: RequestContext,
  format: OutputFormat,
  list: ListResult,
): Promise<Buffer> {
  const { served } = list;
  const objects: KubeObject[] = [];
  for (const record of recordsOf(list)) {
    objects.push(objectOf(served, record));
    if (objects.length % 1_000 === 0) await output.clock.yield();
  }
  const metadata = {
    resourceVersion: list.revision,
    ...(list.continueToken === '' ? {} : { continue: list.continueToken }),
    ...(list.remainingItemCount === undefined ? {} : { remainingItemCount: list.remainingItemCount }),
  };
  switch (format.transform) {
    case 'Table': {
      const table = printedTable(output, context, format, served, objects);
      return formatObject(format, { ...table, metadata });
    }
    case 'PartialObjectMetadataList':
      return formatObject(format, {
        kind: 'PartialObjectMetadataList',
        apiVersion: `meta.k8s.io/${format.metaVersion}`,
        metadata,
        items: objects.map((object) => partialMetadata(object, format.metaVersion)),
      });
    case 'PartialObjectMetadata':
      throw notAcceptable(
        `you requested PartialObjectMetadata, but the requested object is a list (${served.info.listKind})`,
      );
    case 'none':
      return formatObject(format, {
        kind: served.info.listKind,
        apiVersion: served.apiVersion,
        metadata,
        // Protobuf never says them inside lists, and JSON should not, except for custom resources.
        items: isCustom(served)
          ? objects
          : objects.map(({ kind: _kind, apiVersion: _version, ...item }) => item),
      });
  }
}

export function eventEncoder(
  output: Output,
  context: RequestContext,
  format: OutputFormat,
  served: ServedResource,
): FramedEventEncoder {
  const frame = (type: 'BOOKMARK' | 'ERROR', object: object): Buffer => formatFrame(format, type, object);
  if (format.transform === 'none' && format.serializer === 'json')
    return { ...jsonEventEncoder(served), frame };
  const includeObject = context.query.get('includeObject') ?? '';
  const id = `${format.serializer} ${format.transform} ${format.metaVersion} ${includeObject} ${served.apiVersion}`;
  const map = ({ record }: EmittedEvent): object =>
    transformed(output, context, format, served, objectOf(served, record), true);
  if (format.serializer === 'json') return { ...mappedEventEncoder(id, map), frame };
  return {
    id,
    encode: (events) => Buffer.concat(events.map((event) => formatFrame(format, event.type, map(event)))),
    frame,
  };
}

function formatFrame(format: OutputFormat, type: string, object: object): Buffer {
  switch (format.serializer) {
    case 'json':
      return Buffer.from(`${JSON.stringify({ type, object })}\n`);
    case 'yaml':
      return Buffer.from(`---\n${formatYaml({ type, object })}`);
    case 'protobuf':
      return asBuffer(encodeProtobufWatchFrame(type, encodeProtobuf(protobufSchema(object), object)));
  }
}

/** Any object with apiVersion and kind. Throws 406 for what has no protobuf form. */
export function formatObject(format: OutputFormat, object: object): Buffer {
  switch (format.serializer) {
    case 'json':
      return Buffer.from(
        `${format.pretty ? JSON.stringify(object, undefined, 2) : JSON.stringify(object)}\n`,
      );
    case 'yaml':
      return Buffer.from(formatYaml(object));
    case 'protobuf':
      return asBuffer(encodeProtobuf(protobufSchema(object), object));
  }
}

function protobufSchema(object: { readonly apiVersion?: string; readonly kind?: string }): Schema {
  const { apiVersion = '', kind = '' } = object;
  const slash = apiVersion.indexOf('/');
  const schema = schemaOf(slash < 0 ? '' : apiVersion.slice(0, slash), apiVersion.slice(slash + 1), kind);
  if (schema === undefined || !hasProtobuf(schema))
    throw notAcceptable('only the following media types are accepted: application/json, application/yaml');
  return schema;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function transformed(
  output: Output,
  context: RequestContext,
  format: OutputFormat,
  served: ServedResource,
  object: KubeObject,
  inWatch = false,
): object {
  switch (format.transform) {
    case 'none':
      return object;
    case 'PartialObjectMetadata':
      return partialMetadata(object, format.metaVersion);
    case 'PartialObjectMetadataList':
      throw notAcceptable(
        `you requested PartialObjectMetadataList, but the requested object is not a list (${served.info.kind})`,
      );
    case 'Table': {
      const table = printedTable(output, context, format, served, [object]);
      const { resourceVersion } = object.metadata;
      void inWatch;
      return { ...table, metadata: resourceVersion === undefined ? {} : { resourceVersion } };
    }
  }
}

function printedTable(
  output: Output,
  context: RequestContext,
  format: OutputFormat,
  served: ServedResource,
  objects: readonly KubeObject[],
): object {
  return printTable(objects, columnsOf(served), {
    version: format.metaVersion,
    includeObject: parseIncludeObject(context.query.get('includeObject')),
    now: output.clock.now(),
  });
}

/** Columns read objects of the storage version, which is what they are given wherever shapes differ. */
function columnsOf({ strategy }: ServedResource): Printing<KubeObject> {
  const { columns, rowConditions } = strategy ?? {};
  return {
    ...(columns === undefined ? {} : { columns }),
    ...(rowConditions === undefined ? {} : { rowConditions }),
  };
}

function partialMetadata(object: KubeObject, metaVersion: string): object {
  return {
    kind: 'PartialObjectMetadata',
    apiVersion: `meta.k8s.io/${metaVersion}`,
    metadata: object.metadata,
  };
}
