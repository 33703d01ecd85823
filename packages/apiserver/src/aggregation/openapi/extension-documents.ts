/** What extension API servers say of themselves in OpenAPI (kube-aggregator/pkg/controllers/{openapi,openapiv3}). */
import { createHash } from 'node:crypto';
import { isNotModified } from '../../openapi/documents.ts';
import type { RequestContext } from '../../request/request-context.ts';
import type { RawResult } from '../../request/result.ts';
import type { JsonObject } from '../contract.ts';
import type { ServerAnswer } from '../extension-server.ts';
import { convertToV3 } from './convert-to-v3.ts';
import { filteredSwagger } from './merge-swagger.ts';

export interface ExtensionDocuments {
  /** Version 2, of the APIService's paths only. */
  readonly swagger: JsonObject | undefined;
  /** Of version 3: `apis/wardle.example.com/v1alpha1` → where its document is. */
  readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>>;
  /** The one document of `paths`, made from version 2, of a server that does not have version 3. */
  readonly converted: { readonly text: string; readonly hash: string } | undefined;
}

/** Asks the server for a document. */
export type AskFor = (path: string) => Promise<ServerAnswer>;

/** Deeper nesting is no description of an API; it would exhaust the stack of who walks it. */
const MAX_DEPTH = 150;

/** Rejects with an Error when the server's answers are of no use. */
export async function readDocuments(
  askFor: AskFor,
  group: string,
  version: string,
): Promise<ExtensionDocuments> {
  const v2 = await askFor('/openapi/v2');
  if (v2.code !== 200 && v2.code !== 404)
    throw new Error(`failed to retrieve openAPI spec, http error: ${v2.code}`);
  const swagger = v2.code === 404 ? undefined : parsed(v2.text);
  const own = swagger === undefined ? undefined : filteredSwagger(swagger, [`/apis/${group}/${version}/`]);
  const root = await askFor('/openapi/v3');
  if (root.code === 200) return { swagger: own, paths: pathsOf(parsed(root.text)), converted: undefined };
  if (root.code !== 404) throw new Error('could not get list of group versions for APIService');
  if (swagger === undefined) return { swagger: undefined, paths: {}, converted: undefined };
  const path = `apis/${group}/${version}`;
  const text = `${JSON.stringify(convertToV3(swagger))}\n`;
  const hash = createHash('sha512').update(text).digest('hex').toUpperCase();
  return {
    swagger: own,
    paths: { [path]: { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` } },
    converted: { text, hash },
  };
}

/** The document, where this server has made it itself. */
export function openApiDocument(
  { converted }: ExtensionDocuments,
  context: RequestContext,
): RawResult | undefined {
  if (converted === undefined) return undefined;
  const { text, hash } = converted;
  const headers = { ETag: `"${hash}"`, Vary: 'Accept' };
  if (isNotModified(context, hash)) return { kind: 'raw', code: 304, contentType: '', body: '', headers };
  return { kind: 'raw', code: 200, contentType: 'application/json', body: text, headers };
}

function parsed(text: string): JsonObject {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new Error('the document is no object');
  if (!isShallow(value, MAX_DEPTH)) throw new Error(`the document is nested more than ${MAX_DEPTH} deep`);
  return value;
}

/** What leads anywhere else than to documents is passed over. */
function pathsOf({ paths }: JsonObject): ExtensionDocuments['paths'] {
  if (!isObject(paths)) throw new Error('the list of documents has no paths');
  return Object.fromEntries(
    Object.entries(paths).flatMap(([path, item]) => {
      const url = isObject(item) ? item['serverRelativeURL'] : undefined;
      if (typeof url !== 'string' || !url.startsWith(`/openapi/v3/${path}`)) return [];
      return [[path, { serverRelativeURL: url }]];
    }),
  );
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((child) => isShallow(child, depth - 1));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
