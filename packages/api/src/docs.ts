import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The descriptions of types and fields, for OpenAPI and `kubectl explain`. Built by tools/build-api-docs.ts. */
export interface ApiDocs {
  /** What a type is for, by its OpenAPI name (`io.k8s.api.core.v1.Pod`). */
  type(name: string): string | undefined;
  /** What a field of the type is for, by its JSON name. */
  field(type: string, field: string): string | undefined;
  /** Tells one set of descriptions from another: documents with them are cached by clients for ever. */
  readonly id: string;
}

/** The file's shape: OpenAPI name → description of the type ('' for none), descriptions of its fields. */
export type ApiDocsFile = Readonly<
  Record<string, readonly [type: string, fields: Readonly<Record<string, string>>]>
>;

/** For a program that was built without descriptions. */
export const noDocs: ApiDocs = { type: () => undefined, field: () => undefined, id: '' };

/** Reads the file that the build made; answers `noDocs` when there is none. Takes a few milliseconds: call it late. */
export function loadDocs(path: string): ApiDocs {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return noDocs;
    throw error;
  }
  return docsOf(JSON.parse(text) as ApiDocsFile, createHash('sha256').update(text).digest('hex'));
}

export function docsOf(file: ApiDocsFile, id = ''): ApiDocs {
  const types = new Map(Object.entries(file));
  return {
    id,
    type: (name) => types.get(name)?.[0] || undefined,
    field(type, field) {
      const fields = types.get(type)?.[1];
      return fields !== undefined && Object.hasOwn(fields, field) ? fields[field] : undefined;
    },
  };
}
