import type { KubeObject } from '@k8ts/api';
import {
  applyJsonMergePatch,
  applyJsonPatch,
  applyStrategicMergePatch,
  badRequest,
  BodyError,
  jsonPatchUnknownFields,
  parseBody,
  unsupportedMediaType,
  type JsonObject,
  type JsonValue,
} from '@k8ts/apimachinery';
import type { RequestContext } from '../../request/request-context.ts';
import type { ServedResource } from '../served-resource.ts';
import { mediaTypeOf, MAX_BODY_BYTES } from './decode.ts';

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';

const PATCH_TYPES: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};

export interface Patch {
  readonly type: PatchType;
  /** Decoded; of an apply the configuration. */
  readonly value: unknown;
  /** What strict validation says of the patch itself: duplicate fields, unknown members of operations. */
  readonly strictErrors: readonly string[];
}

/** Throws 415 for what is no patch type. Custom resources have no strategic merge patch: nothing says how to merge. */
export function patchTypeOf(context: RequestContext, isCustom = false): PatchType {
  const type = context.headers['content-type'] === undefined ? undefined : PATCH_TYPES[mediaTypeOf(context)];
  if (type === undefined || (isCustom && type === 'strategic')) {
    const types = Object.keys(PATCH_TYPES).filter((name) => !isCustom || PATCH_TYPES[name] !== 'strategic');
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
    );
  }
  return type;
}

/** Reads and parses the patch. Throws 400 and 413. */
export async function readPatch(context: RequestContext, type: PatchType): Promise<Patch> {
  const { body } = context.init;
  const { value, strictErrors } =
    body.kind === 'value'
      ? typeof body.value === 'string'
        ? parsePatchText(body.value, type)
        : { value: body.value, strictErrors: [] }
      : parsePatchText((await body.read(MAX_BODY_BYTES)).toString(), type);
  context.audit?.requestPatch(value);
  return {
    type,
    value,
    strictErrors: type === 'json' ? [...strictErrors, ...jsonPatchUnknownFields(value)] : strictErrors,
  };
}

/** Parses the text of a patch: JSON, or YAML for server-side apply. Throws 400. */
function parsePatchText(text: string, type: PatchType): Pick<Patch, 'value' | 'strictErrors'> {
  try {
    const { value, strictErrors } = parseBody(text, type === 'apply' ? 'yaml' : 'json', true);
    return {
      value,
      strictErrors: type === 'json' ? strictErrors.map((error) => `json patch ${error}`) : strictErrors,
    };
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    throw badRequest(
      type === 'apply' ? `error decoding YAML: ${error.message}` : `error decoding patch: ${error.message}`,
    );
  }
}

/** The patched object in the served version: shares what the patch did not touch with `current`. */
export function applyPatchTo(served: ServedResource, current: KubeObject, patch: Patch): JsonObject {
  const document = current as unknown as JsonObject;
  switch (patch.type) {
    case 'json': {
      const result: JsonValue = applyJsonPatch(document, patch.value);
      if (typeof result !== 'object' || result === null || Array.isArray(result))
        throw badRequest('the patch does not leave an object');
      return result as JsonObject;
    }
    case 'merge':
      return applyJsonMergePatch(document, patch.value);
    case 'strategic':
      return applyStrategicMergePatch(document, patch.value, served.schema());
    case 'apply':
      throw new TypeError('server-side apply is done by the field manager');
  }
}
