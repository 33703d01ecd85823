/**
 * The run-time description of a wire type. One model serves the built-in kinds (built from the tables in `generated/`)
 * and custom resources (compiled from their OpenAPI schema), and everything generic walks it: decoding, defaulting,
 * pruning, patches, server-side apply, protobuf, OpenAPI, printing.
 *
 * Invariant: every node has every property, in the order below, so that the walkers see objects of one shape.
 * Make nodes with `createSchema()` only. Nodes are shared and may be recursive (JSONSchemaProps): never walk them
 * without an object (or a depth limit) in hand, and never change one after it was handed out.
 */
export interface Schema {
  /** What the JSON value must be, see `SchemaType`. */
  readonly type: SchemaType;
  /**
   * The definition's name in OpenAPI, such as `io.k8s.api.core.v1.PodSpec`; empty for anonymous types and for named
   * scalars, lists and maps, which OpenAPI writes out in place.
   */
  readonly name: string;
  /** Go's name of the type without its package (`PodSpec`, `Protocol`); empty for anonymous types. */
  readonly goName: string;
  /** `object`: the fields by JSON name, embedded structs flattened, in Go's order. Otherwise empty. */
  readonly fields: ReadonlyMap<string, FieldSchema>;
  /** `array`: the element. `map`: the value. `schemaOr…`: JSONSchemaProps. Custom `object` with both: additionalProperties. */
  readonly items: Schema | undefined;

  /** `array`: how server-side apply merges it. No marker means `atomic`, as upstream. */
  readonly listType: 'atomic' | 'set' | 'map' | undefined;
  /** `array` with listType `map`: the fields that tell elements apart, e.g. `['port', 'protocol']`. */
  readonly listMapKeys: readonly string[];
  /** `object` and `map`: `atomic` values are replaced whole by server-side apply. No marker means `granular`. */
  readonly mapType: 'atomic' | 'granular' | undefined;
  /** Strategic merge patch: `merge`, `replace`, `retainKeys`, or several. Empty means replace. */
  readonly patchStrategy: readonly string[];
  /** Strategic merge patch: the field that tells the elements of a merged list apart. */
  readonly patchMergeKey: string | undefined;

  /** The declared default (`+default=`, CRD `default`), a frozen JSON value; undefined when there is none. */
  readonly default: unknown;
  /** The values a closed enumeration (`+enum`) allows; empty otherwise. */
  readonly enum: readonly string[];
  /** Custom resources: `null` is a value. Built-in types treat `null` as absent. */
  readonly nullable: boolean;
  /** Custom resources: fields without a schema are kept (x-kubernetes-preserve-unknown-fields). */
  readonly preserveUnknownFields: boolean;
  /** Custom resources: the value is a complete object with apiVersion, kind and metadata. */
  readonly embeddedResource: boolean;
  /** `array`: protobuf wraps the list in a message of its own (`{ repeated items = 1 }`), as for ExtraValue and Verbs. */
  readonly protoWrapped: boolean;
  /** `object`: the Go structs embedded here that are messages of their own in protobuf (VolumeSource in Volume). */
  readonly protoEmbeds: readonly ProtoEmbed[];
}

/**
 * - `object` fields by name; `array`, `map` (string keys) of `items`
 * - `string`, `boolean`, `int32`, `int64`, `uint64`, `float64`: the JSON scalar (64-bit numbers are JSON numbers)
 * - `bytes`: base64 string
 * - `quantity`: `"100m"`, `"1Gi"`; numbers are accepted on input
 * - `intOrString`: number or string
 * - `time`: RFC 3339 in seconds; `microTime`: RFC 3339 with six decimals; `duration`: Go's `1m30s`
 * - `rawExtension`: any JSON object, usually with apiVersion and kind
 * - `fieldsV1`: the tree of managed fields, a JSON object
 * - `json`: any JSON value
 * - `schemaOrArray`, `schemaOrBool`, `schemaOrStringArray`: JSONSchemaProps (`items`), or the other thing
 */
export type SchemaType =
  | 'object'
  | 'array'
  | 'map'
  | 'string'
  | 'boolean'
  | 'int32'
  | 'int64'
  | 'uint64'
  | 'float64'
  | 'bytes'
  | 'quantity'
  | 'intOrString'
  | 'time'
  | 'microTime'
  | 'duration'
  | 'rawExtension'
  | 'fieldsV1'
  | 'json'
  | 'schemaOrArray'
  | 'schemaOrBool'
  | 'schemaOrStringArray';

/** A field's place in its object. Facts of the value itself are on `schema`. */
export interface FieldSchema {
  /** JSON name. */
  readonly name: string;
  readonly schema: Schema;
  /** Listed under `required` in OpenAPI: `+required`, or neither `+optional` nor omitempty; custom resources: `required`. */
  readonly required: boolean;
  /** Go leaves the zero value out (structs that are no pointers are written nevertheless). */
  readonly omitEmpty: boolean;
  /** Go distinguishes absent from the zero value (pointer). */
  readonly pointer: boolean;
  /** Protobuf field number; 0 when the field is not in protobuf (apiVersion and kind, which the envelope carries). */
  readonly protoNumber: number;
  /** Index into the object's `protoEmbeds` when the field lives in an embedded message there; -1 otherwise. */
  readonly protoEmbed: number;
}

/** An embedded struct: its fields are the object's own in JSON, and a nested message in protobuf. */
export interface ProtoEmbed {
  readonly protoNumber: number;
  readonly schema: Schema;
}

/** What `createSchema` takes: the type, and whatever differs from "nothing said". */
export type SchemaInit = { readonly [K in keyof Schema]?: Schema[K] } & { readonly type: SchemaType };

const NO_FIELDS: ReadonlyMap<string, FieldSchema> = new Map();
const NOTHING: readonly never[] = Object.freeze([]);

/** Makes a node with all properties present. */
export function createSchema(init: SchemaInit): Schema {
  return {
    type: init.type,
    name: init.name ?? '',
    goName: init.goName ?? '',
    fields: init.fields ?? NO_FIELDS,
    items: init.items,
    listType: init.listType,
    listMapKeys: init.listMapKeys ?? NOTHING,
    mapType: init.mapType,
    patchStrategy: init.patchStrategy ?? NOTHING,
    patchMergeKey: init.patchMergeKey,
    default: init.default,
    enum: init.enum ?? NOTHING,
    nullable: init.nullable ?? false,
    preserveUnknownFields: init.preserveUnknownFields ?? false,
    embeddedResource: init.embeddedResource ?? false,
    protoWrapped: init.protoWrapped ?? false,
    protoEmbeds: init.protoEmbeds ?? NOTHING,
  };
}
