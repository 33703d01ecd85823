/** /openapi/v2 and /openapi/v3: made when first asked for, then kept as text. */
import { createHash } from 'node:crypto';
import { noDocs, schemaOf, schemaOfType, type ApiDocs } from '@k8ts/api';
import { unknownPath } from '@k8ts/apimachinery';
import type { Aggregation } from '../aggregation/contract.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { RawResult, Result } from '../request/result.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import { VERSION_INFO } from '../version-info.ts';
import { parseAccept } from '../output/media-types.ts';
import { customDefinition, customDefinitionName, customListDefinition } from './custom-definitions.ts';
import { Definitions, type GroupVersionKind, type JsonObject, type OpenApiVersion } from './definitions.ts';
import { resourcePaths } from './paths.ts';
import { encodeSwagger, SWAGGER_PROTOBUF } from './swagger-protobuf.ts';

interface Document {
  readonly text: string | Buffer;
  readonly hash: string;
}

export interface OpenApiOptions {
  readonly registry: ResourceRegistry;
  /** Descriptions, loaded when the first document is made. */
  readonly docs: (() => ApiDocs) | undefined;
  /** What other servers say of themselves. */
  readonly aggregation: Aggregation | undefined;
}

export class OpenApi {
  readonly #registry: ResourceRegistry;
  readonly #aggregation: Aggregation | undefined;
  readonly #loadDocs: () => ApiDocs;
  #docs: ApiDocs | undefined = undefined;
  #v2: Document | undefined = undefined;
  #v2Protobuf: Document | undefined = undefined;
  #index: Document | undefined = undefined;
  readonly #v3 = new Map<string, Document>();
  readonly #builtinPaths: ReadonlySet<string>;
  #generation: number;

  constructor({ registry, docs, aggregation }: OpenApiOptions) {
    this.#registry = registry;
    this.#aggregation = aggregation;
    this.#generation = registry.generation;
    this.#builtinPaths = new Set(registry.groupVersions.map(pathOf));
    this.#loadDocs = docs ?? (() => noDocs);
  }

  /** `/openapi/v2`, as JSON or as protobuf. */
  v2(context: RequestContext): RawResult {
    this.#refresh();
    const { accept } = context.headers;
    if (accept !== undefined && wantsProtobuf(accept)) {
      this.#v2Protobuf ??= protobufOf(this.#swagger());
      return answer(this.#v2Protobuf, context, SWAGGER_PROTOBUF);
    }
    this.#v2 ??= documentOf(this.#swagger());
    return answer(this.#v2, context, 'application/json');
  }

  /** `/openapi/v3` or `/openapi/v3/<path>`; throws 404. */
  v3(path: string, context: RequestContext): Result | Promise<Result> {
    this.#refresh();
    if (path === '') {
      this.#index ??= documentOf({ paths: this.#indexPaths() });
      return answer(this.#index, context, 'application/json');
    }
    const groupVersion = this.#groupVersions().find((entry) => pathOf(entry) === path);
    if (groupVersion === undefined) {
      const others = this.#aggregation?.openApi(path, context);
      if (others === undefined) throw unknownPath();
      return others;
    }
    const document = this.#document(groupVersion);
    const wanted = context.query.get('hash');
    // A URL with the right hash can be kept for ever; a stale one is sent to the right place.
    if (wanted !== undefined && wanted !== '' && wanted !== document.hash)
      return {
        kind: 'raw',
        code: 301,
        contentType: '',
        body: '',
        headers: { Location: `/openapi/v3/${path}?hash=${document.hash}` },
      };
    const forever: Record<string, string> =
      wanted === document.hash
        ? {
            'Cache-Control': 'public, immutable',
            Expires: new Date(FAR_FUTURE).toUTCString(),
          }
        : {};
    return answer(document, context, 'application/json', forever);
  }

  /** Custom resources or other servers have come or gone: what was made without them is forgotten. */
  #refresh(): void {
    // Both only grow.
    const generation = this.#registry.generation + (this.#aggregation?.generation ?? 0);
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#v2 = this.#v2Protobuf = this.#index = undefined;
    for (const path of this.#v3.keys()) if (!this.#builtinPaths.has(path)) this.#v3.delete(path);
  }

  #groupVersions(): readonly { readonly group: string; readonly version: string }[] {
    return this.#registry.groupVersions;
  }

  #indexPaths(): JsonObject {
    const paths: JsonObject = { ...this.#aggregation?.openApiPaths() };
    for (const groupVersion of this.#groupVersions()) {
      const path = pathOf(groupVersion);
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${this.#hashOf(groupVersion)}` };
    }
    return paths;
  }

  /**
   * Tables and descriptions do not change while the program runs, so what tells them from others says as much as the
   * document's text would.
   */
  #hashOf({ group, version }: { readonly group: string; readonly version: string }): string {
    const rows = this.#registry.infosOf(group, version);
    const schemas = rows.map((row) => {
      const custom = this.#registry.customVersion(group, version, row.resource);
      return [custom?.openApiSchema, custom?.selectablePaths];
    });
    this.#docs ??= this.#loadDocs();
    return createHash('sha512')
      .update(`${VERSION_INFO['gitVersion']} ${this.#docs.id} ${JSON.stringify([rows, schemas])}`)
      .digest('hex')
      .toUpperCase();
  }

  #document(groupVersion: { readonly group: string; readonly version: string }): Document {
    const path = pathOf(groupVersion);
    let document = this.#v3.get(path);
    if (document === undefined) {
      const { definitions, paths } = this.#parts(3, [groupVersion]);
      const text = `${JSON.stringify({
        openapi: '3.0.0',
        info: INFO,
        paths,
        components: { schemas: definitions.all(), securitySchemes: BEARER },
        security: [{ BearerToken: [] }],
      })}\n`;
      document = { text, hash: this.#hashOf(groupVersion) };
      this.#v3.set(path, document);
    }
    return document;
  }

  #swagger(): JsonObject {
    const { definitions, paths } = this.#parts(2, this.#groupVersions());
    const own = {
      swagger: '2.0',
      info: INFO,
      paths,
      definitions: definitions.all(),
      securityDefinitions: BEARER,
      security: [{ BearerToken: [] }],
    };
    return (this.#aggregation?.swagger(own) as JsonObject | undefined) ?? own;
  }

  #parts(
    version: OpenApiVersion,
    groupVersions: readonly { readonly group: string; readonly version: string }[],
  ): { readonly definitions: Definitions; readonly paths: JsonObject } {
    this.#docs ??= this.#loadDocs();
    const definitions = new Definitions(version, this.#docs);
    const paths: JsonObject = {};
    for (const { group, version: name } of groupVersions) {
      const infos = this.#registry.infosOf(group, name);
      const isCustom = !this.#builtinPaths.has(pathOf({ group, version: name }));
      const kind = (ofGroup: string, ofVersion: string, ofKind: string): JsonObject | undefined =>
        this.#kind(definitions, version, { group: ofGroup, version: ofVersion, kind: ofKind });
      const context = { version, definitions, kind, isCustom };
      Object.assign(paths, resourcePaths(context, `/${pathOf({ group, version: name })}`, infos));
      for (const info of infos)
        for (const each of [info.kind, info.listKind]) {
          const reference = kind(group, name, each);
          if (reference === undefined) continue;
          definitions.mark(String(reference['$ref']).replace(/.*\//, ''), {
            group,
            kind: each,
            version: name,
          });
        }
    }
    return { definitions, paths };
  }

  /** A reference to the definition of a kind: of the tables, or of a custom resource. */
  #kind(definitions: Definitions, openApi: OpenApiVersion, gvk: GroupVersionKind): JsonObject | undefined {
    const { group, version, kind } = gvk;
    const schema = schemaOf(group, version, kind);
    if (schema !== undefined) return definitions.reference(schema);
    const row = this.#registry
      .infosOf(group, version)
      .find((info) => info.kind === kind || info.listKind === kind);
    const custom = row === undefined ? undefined : this.#registry.customVersion(group, version, row.resource);
    if (row === undefined || custom === undefined) return undefined;
    const shown = { schema: custom.openApiSchema, selectableFields: custom.selectablePaths };
    const item = (): JsonObject =>
      definitions.referenceTo(customDefinitionName(group, version, row.kind), () =>
        customDefinition(openApi, shown, metaReference(definitions, 'ObjectMeta')),
      );
    if (kind === row.kind) return item();
    return definitions.referenceTo(customDefinitionName(group, version, kind), () =>
      customListDefinition(openApi, item(), row, shown, metaReference(definitions, 'ListMeta')),
    );
  }
}

function metaReference(definitions: Definitions, name: string): JsonObject {
  const schema = schemaOfType('metav1', name);
  if (schema === undefined) throw new Error(`the tables have no ${name}`);
  return definitions.reference(schema);
}

const INFO = { title: 'Kubernetes', version: VERSION_INFO['gitVersion'] };
const BEARER = {
  BearerToken: {
    type: 'apiKey',
    description: 'Bearer Token authentication',
    name: 'authorization',
    in: 'header',
  },
};
const FAR_FUTURE = Date.UTC(2099, 0, 1);

function pathOf({ group, version }: { readonly group: string; readonly version: string }): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

function documentOf(value: object): Document {
  const text = `${JSON.stringify(value)}\n`;
  return { text, hash: createHash('sha512').update(text).digest('hex').toUpperCase() };
}

function protobufOf(value: JsonObject): Document {
  const text = encodeSwagger(value);
  return { text, hash: createHash('sha512').update(text).digest('hex').toUpperCase() };
}

/** The media type in its old and its new spelling; what stands first of those that we have is sent. */
function wantsProtobuf(accept: string): boolean {
  for (const { type, subtype } of parseAccept(accept)) {
    if (type !== 'application' && type !== '*') continue;
    if (subtype === 'json' || subtype === '*') return false;
    if (PROTOBUF_SUBTYPES.has(subtype)) return true;
  }
  return false;
}

const PROTOBUF_SUBTYPES = new Set([
  'com.github.proto-openapi.spec.v2@v1.0+protobuf',
  'com.github.proto-openapi.spec.v2.v1.0+protobuf',
]);

function answer(
  { text, hash }: Document,
  context: RequestContext,
  contentType: string,
  further: Readonly<Record<string, string>> = {},
): RawResult {
  const sent = { ETag: `"${hash}"`, Vary: 'Accept', ...further };
  if (isNotModified(context, hash))
    return { kind: 'raw', code: 304, contentType: '', body: '', headers: sent };
  return { kind: 'raw', code: 200, contentType, body: text, headers: sent };
}

/** The client has the document with this hash already. */
export function isNotModified({ headers }: RequestContext, hash: string): boolean {
  return headers['if-none-match'] === `"${hash}"`;
}
