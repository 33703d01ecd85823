/**
 * An OpenAPI v2 document as protobuf, the only form in which client-go asks for it. Numbers are those of gnostic's
 * openapiv2/OpenAPIv2.proto; only what our documents contain is written.
 */
import type { JsonObject } from './definitions.ts';

/** Clients ask for it with an `@` where this has a dot, which is no legal media type; they are answered with a legal one. */
export const SWAGGER_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** A field ready to be put into a message. */
type Field = Buffer;

export function encodeSwagger(document: JsonObject): Buffer {
  const info = objectIn(document, 'info');
  return Buffer.concat([
    text(1, document['swagger']),
    message(2, [text(1, info['title']), text(2, info['version'])]),
    message(
      8,
      entries(document, 'paths').map(([path, item]) => named(2, path, pathItem(item))),
    ),
    message(
      9,
      entries(document, 'definitions').map(([name, definition]) => named(1, name, schema(definition))),
    ),
    ...(document['security'] as JsonObject[]).map((requirement) =>
      message(
        12,
        Object.keys(requirement).map((name) => named(1, name, [])),
      ),
    ),
    message(
      13,
      entries(document, 'securityDefinitions').map(([name, item]) =>
        named(1, name, [
          message(2, [
            text(1, item['type']),
            text(2, item['name']),
            text(3, item['in']),
            text(4, item['description']),
          ]),
        ]),
      ),
    ),
  ]);
}

const METHODS: Readonly<Record<string, number>> = {
  get: 2,
  put: 3,
  post: 4,
  delete: 5,
  options: 6,
  head: 7,
  patch: 8,
};

function pathItem(item: JsonObject): Field[] {
  const fields: Field[] = [];
  for (const [method, number] of Object.entries(METHODS)) {
    const found = item[method] as JsonObject | undefined;
    if (found !== undefined) fields.push(message(number, operation(found)));
  }
  return [...fields, ...parameters(9, item)];
}

function operation(item: JsonObject): Field[] {
  return [
    ...texts(1, item['tags']),
    text(3, item['description']),
    text(5, item['operationId']),
    ...texts(6, item['produces']),
    ...texts(7, item['consumes']),
    ...parameters(8, item),
    message(
      9,
      entries(item, 'responses').map(([code, response]) =>
        named(1, code, [
          message(1, [
            text(1, response['description']),
            ...(response['schema'] === undefined
              ? []
              : [message(2, [message(1, schema(response['schema'] as JsonObject))])]),
          ]),
        ]),
      ),
    ),
    ...texts(10, item['schemes']),
    ...extensions(13, item),
  ];
}

/** ParametersItem → Parameter → body or other, and for those the place where it stands. */
function parameters(number: number, item: JsonObject): Field[] {
  return ((item['parameters'] ?? []) as JsonObject[]).map((parameter) => {
    const isBody = parameter['in'] === 'body';
    const isQuery = parameter['in'] === 'query';
    const written = isBody
      ? message(1, [
          text(2, parameter['name']),
          text(3, parameter['in']),
          flag(4, parameter['required']),
          message(5, schema(parameter['schema'] as JsonObject)),
        ])
      : message(2, [
          message(isQuery ? 3 : 4, [
            flag(1, parameter['required']),
            text(2, parameter['in']),
            text(3, parameter['description']),
            text(4, parameter['name']),
            text(isQuery ? 6 : 5, parameter['type']),
            flag(isQuery ? 20 : 19, parameter['uniqueItems']),
          ]),
        ]);
    return message(number, [message(1, [written])]);
  });
}

function schema(item: JsonObject): Field[] {
  const { properties, items, additionalProperties: additional } = item;
  return [
    text(1, item['$ref']),
    text(2, item['format']),
    text(4, item['description']),
    ...(item['default'] === undefined ? [] : [message(5, any(item['default']))]),
    ...texts(19, item['required']),
    ...((item['enum'] ?? []) as unknown[]).map((value) => message(20, any(value))),
    ...(additional === undefined ? [] : [message(21, [message(1, schema(additional as JsonObject))])]),
    ...(item['type'] === undefined ? [] : [message(22, [text(1, item['type'])])]),
    ...(items === undefined ? [] : [message(23, [message(1, schema(items as JsonObject))])]),
    ...(properties === undefined
      ? []
      : [
          message(
            25,
            entries(item, 'properties').map(([name, property]) => named(1, name, schema(property))),
          ),
        ]),
    ...extensions(31, item),
  ];
}

function extensions(number: number, item: JsonObject): Field[] {
  return Object.entries(item)
    .filter(([name]) => name.startsWith('x-'))
    .map(([name, value]) => named(number, name, any(value)));
}

/** Any: the value as YAML, of which JSON is a part. */
function any(value: unknown): Field[] {
  return [text(2, JSON.stringify(value))];
}

/** One entry of a map: name and value. */
function named(number: number, name: string, value: readonly Field[]): Field {
  return message(number, [text(1, name), message(2, value)]);
}

function entries(item: JsonObject, name: string): [string, JsonObject][] {
  return Object.entries(objectIn(item, name)) as [string, JsonObject][];
}

function objectIn(item: JsonObject, name: string): JsonObject {
  return (item[name] ?? {}) as JsonObject;
}

const NOTHING = Buffer.alloc(0);
const BYTES = 2;
const VARINT = 0;

function text(number: number, value: unknown): Field {
  return typeof value === 'string' && value !== '' ? bytes(number, Buffer.from(value)) : NOTHING;
}

function texts(number: number, values: unknown): Field[] {
  return ((values ?? []) as readonly string[]).map((value) => text(number, value));
}

function flag(number: number, value: unknown): Field {
  return value === true ? Buffer.concat([varint((number << 3) | VARINT), varint(1)]) : NOTHING;
}

function message(number: number, fields: readonly Field[]): Field {
  return bytes(number, Buffer.concat(fields));
}

function bytes(number: number, content: Buffer): Field {
  return Buffer.concat([varint((number << 3) | BYTES), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const parts: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) parts.push((rest & 0x7f) | 0x80);
  parts.push(rest);
  return Buffer.from(parts);
}
