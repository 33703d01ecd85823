/** A swagger document in OpenAPI version 3, as far as version 2 can say it (k8s.io/kube-openapi/pkg/openapiconv). */
import type { JsonObject } from '../contract.ts';

const METHODS = new Set(['get', 'put', 'post', 'delete', 'options', 'head', 'patch']);

export function convertToV3(swagger: JsonObject): JsonObject {
  const produces = strings(swagger['produces']);
  return {
    openapi: '3.0.0',
    ...picked(swagger, ['info', 'externalDocs']),
    ...mapped('paths', swagger['paths'], convertPath),
    components: {
      ...mapped('schemas', swagger['definitions'], convertSchema),
      ...mapped('securitySchemes', swagger['securityDefinitions'], convertSecurityScheme),
      ...mapped('responses', swagger['responses'], (response) => convertResponse(response, produces)),
    },
  };
}

function convertPath(value: unknown): JsonObject {
  const path = object(value);
  const operations = Object.entries(path).filter(([method]) => METHODS.has(method));
  return {
    ...extensions(path),
    ...(Array.isArray(path['parameters']) ? { parameters: path['parameters'].map(convertParameter) } : {}),
    ...Object.fromEntries(operations.map(([method, operation]) => [method, convertOperation(operation)])),
  };
}

function convertOperation(value: unknown): JsonObject {
  const operation = object(value);
  const parameters = Array.isArray(operation['parameters']) ? operation['parameters'].map(object) : [];
  const body = parameters.find(({ name, schema }) => name === 'body' && schema !== undefined);
  const others = parameters.filter((parameter) => parameter !== body);
  const produces = strings(operation['produces']);
  return {
    ...extensions(operation),
    ...picked(operation, ['description', 'externalDocs', 'tags', 'summary', 'deprecated', 'operationId']),
    ...(others.length === 0 ? {} : { parameters: others.map(convertParameter) }),
    ...(body === undefined
      ? {}
      : { requestBody: { content: content(strings(operation['consumes']), body['schema']) } }),
    responses: Object.fromEntries(
      Object.entries(object(operation['responses'])).map(([code, response]) => [
        code,
        code.startsWith('x-') ? response : convertResponse(response, produces),
      ]),
    ),
  };
}

function convertResponse(value: unknown, produces: readonly string[]): JsonObject {
  const response = object(value);
  const reference = response['$ref'];
  return {
    ...extensions(response),
    ...(typeof reference === 'string'
      ? { $ref: reference.replace('#/responses/', '#/components/responses/') }
      : {}),
    ...picked(response, ['description']),
    ...(response['schema'] === undefined ? {} : { content: content(produces, response['schema']) }),
  };
}

function convertParameter(value: unknown): JsonObject {
  const parameter = object(value);
  const reference = parameter['$ref'];
  if (typeof reference === 'string')
    return { $ref: reference.replace('#/parameters/', '#/components/parameters/') };
  return {
    ...extensions(parameter),
    ...picked(parameter, ['name', 'description', 'in', 'required', 'allowEmptyValue']),
    schema:
      parameter['schema'] === undefined
        ? picked(parameter, ['type', 'format', 'uniqueItems'])
        : convertSchema(parameter['schema']),
  };
}

function convertSecurityScheme(value: unknown): JsonObject {
  const scheme = object(value);
  const { flow } = scheme;
  return {
    ...extensions(scheme),
    ...picked(scheme, ['description', 'type', 'name', 'in']),
    ...(typeof flow === 'string' && flow !== ''
      ? { flows: { [flow]: picked(scheme, ['authorizationUrl', 'tokenUrl', 'scopes']) } }
      : {}),
  };
}

/** Version 3 has nothing beside a reference: what stands there goes around it. */
function convertSchema(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(convertSchema);
  if (typeof value !== 'object' || value === null) return value;
  const { $ref: reference, ...rest } = value as JsonObject;
  const converted = Object.fromEntries(
    Object.entries(rest).map(([name, child]) => {
      if (name === 'properties')
        return [
          name,
          Object.fromEntries(Object.entries(object(child)).map(([key, each]) => [key, convertSchema(each)])),
        ];
      return [name, SCHEMA_FIELDS.has(name) ? convertSchema(child) : child];
    }),
  );
  if (typeof reference !== 'string') return converted;
  const own = { $ref: reference.replace('#/definitions/', '#/components/schemas/') };
  return Object.keys(converted).length === 0 ? own : { ...converted, allOf: [own] };
}

const SCHEMA_FIELDS: ReadonlySet<string> = new Set(['items', 'additionalProperties', 'additionalItems']);

function content(mediaTypes: readonly string[], schema: unknown): JsonObject {
  return Object.fromEntries(mediaTypes.map((mediaType) => [mediaType, { schema: convertSchema(schema) }]));
}

function mapped(field: string, value: unknown, convert: (value: unknown) => unknown): JsonObject {
  if (value === undefined) return {};
  return {
    [field]: Object.fromEntries(Object.entries(object(value)).map(([name, each]) => [name, convert(each)])),
  };
}

function picked(from: JsonObject, fields: readonly string[]): JsonObject {
  return Object.fromEntries(
    fields.flatMap((field) => (from[field] === undefined ? [] : [[field, from[field]]])),
  );
}

function extensions(from: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(from).filter(([name]) => name.startsWith('x-')));
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function object(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
