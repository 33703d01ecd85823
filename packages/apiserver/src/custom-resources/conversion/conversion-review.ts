/**
 * What a conversion webhook is asked, and what it may answer
 * (apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go).
 */
import { randomUUID } from 'node:crypto';
import type { KubeObject } from '@k8ts/api';
import {
  goQuote,
  isJsonObject,
  isWithinDepth,
  validateAnnotations,
  validateLabels,
  type FieldError,
  type JsonObject,
} from '@k8ts/apimachinery';

const GROUP = 'apiextensions.k8s.io';
const VERSIONS = ['v1', 'v1beta1'];
/** Characters of an answer that a message shows. */
const MAX_QUOTED = 1_024;

export interface ConversionReview {
  readonly uid: string;
  readonly version: string;
  readonly body: object;
}

/** In the first version of ConversionReview that the webhook knows and we do. Throws an Error where there is none. */
export function conversionReview(
  objects: readonly KubeObject[],
  desiredAPIVersion: string,
  reviewVersions: readonly string[],
): ConversionReview {
  const version = reviewVersions.find((each) => VERSIONS.includes(each));
  if (version === undefined) throw new Error('no supported conversion review versions');
  const uid = randomUUID();
  const body = {
    kind: 'ConversionReview',
    apiVersion: `${GROUP}/${version}`,
    request: { uid, desiredAPIVersion, objects },
  };
  return { uid, version, body };
}

interface Answered {
  readonly kind?: unknown;
  readonly apiVersion?: unknown;
  readonly response?: {
    readonly uid?: unknown;
    readonly convertedObjects?: unknown;
    readonly result?: { readonly status?: unknown; readonly message?: unknown } | null;
  } | null;
}

/** The converted objects, as yet unchecked. Throws an Error for what is no answer, or one that says that it failed. */
export function convertedObjectsOf({ uid, version }: ConversionReview, answer: unknown): readonly unknown[] {
  const { kind, apiVersion, response } = (answer ?? {}) as Answered;
  const wanted = `${GROUP}/v1, Kind=ConversionReview`;
  const got = `${textOf(apiVersion)}, Kind=${textOf(kind)}`;
  // v1beta1 was never checked for what it is, nor for whom.
  if (version === 'v1' && got !== wanted)
    throw new Error(`expected webhook response of ${wanted}, got ${got}`);
  if (typeof response !== 'object' || response === null) throw new Error('no response provided');
  if (version === 'v1' && response.uid !== uid)
    throw new Error(`expected response.uid=${goQuote(uid)}, got ${goQuote(textOf(response.uid))}`);
  const { status, message } = response.result ?? {};
  if (status !== 'Success') {
    const said = textOf(message);
    throw new Error(said === '' ? `response.result.status was '${textOf(status)}', not 'Success'` : said);
  }
  return Array.isArray(response.convertedObjects) ? response.convertedObjects : [];
}

/** What is wrong with a converted object: it is none, or of another type, or another object, or has wrong metadata. */
export type ConversionFault = 'form' | 'type' | 'object' | 'metadata';

/** A converted object that may not take the place of what was sent. */
export class ConvertedObjectError extends Error {
  override readonly name = 'ConvertedObjectError';
  readonly what: ConversionFault;
  constructor(what: ConversionFault, message: string) {
    super(message);
    this.what = what;
  }
}

/**
 * The converted object with the metadata of the original one, of which a webhook may change labels and annotations only.
 * Throws ConvertedObjectError.
 */
export function checkedConversion(original: KubeObject, converted: unknown, apiVersion: string): KubeObject {
  const invalid = (what: ConversionFault, message: string): Error => new ConvertedObjectError(what, message);
  if (converted === undefined || converted === null) throw invalid('form', 'unexpected end of JSON input');
  if (!isWithinDepth(converted)) throw invalid('form', 'exceeded max depth');
  if (!isJsonObject(converted) || textOf(converted['kind']) === '')
    throw invalid('form', `Object 'Kind' is missing in '${JSON.stringify(converted).slice(0, MAX_QUOTED)}'`);
  const gotVersion = textOf(converted['apiVersion']);
  if (gotVersion !== apiVersion)
    throw invalid('type', `invalid groupVersion (expected ${apiVersion}, received ${gotVersion})`);
  const gotKind = textOf(converted['kind']);
  if (gotKind !== original.kind)
    throw invalid('type', `invalid kind (expected ${original.kind ?? ''}, received ${gotKind})`);
  const { metadata } = converted;
  // What a name is to be generated for has none yet.
  const { name = '', namespace = '', uid = '' } = original.metadata as Partial<KubeObject['metadata']>;
  const found = isJsonObject(metadata) ? metadata : {};
  for (const [field, expected] of [
    ['name', name],
    ['namespace', namespace],
    ['UID', uid],
  ] as const) {
    const got = textOf(found[field.toLowerCase()]);
    if (got !== expected) throw invalid('object', `must have the same ${field}: ${expected} != ${got}`);
  }
  return { ...converted, metadata: restoredMetadata(original, metadata) };
}

function restoredMetadata(original: KubeObject, metadata: unknown): KubeObject['metadata'] {
  const invalid = (message: string): Error => new ConvertedObjectError('metadata', message);
  if (metadata === undefined) throw invalid('missing metadata in converted object');
  if (!isJsonObject(metadata))
    throw invalid(`invalid metadata of type ${goTypeOf(metadata)} in converted object`);
  const { labels: _labels, annotations: _annotations, ...restored } = original.metadata;
  return {
    ...restored,
    ...restoredTexts('labels', original, metadata, invalid),
    ...restoredTexts('annotations', original, metadata, invalid),
  };
}

function restoredTexts(
  field: 'labels' | 'annotations',
  { metadata: { [field]: before = {} } }: KubeObject,
  metadata: JsonObject,
  invalid: (message: string) => Error,
): Partial<KubeObject['metadata']> {
  const after = metadata[field];
  if (after === undefined || after === null) return {};
  if (!isJsonObject(after))
    throw invalid(`invalid metadata.${field} of type ${goTypeOf(after)} in converted object`);
  for (const [name, value] of Object.entries(after))
    if (typeof value !== 'string')
      throw invalid(
        `metadata.${field}[${name}] must be a string, but is ${goTypeOf(value)} in converted object`,
      );
  const texts = after as Readonly<Record<string, string>>;
  const isChanged =
    Object.keys(before).length !== Object.keys(texts).length ||
    Object.entries(texts).some(([name, value]) => before[name] !== value);
  // What was there before is not held against the webhook. Upstream's path of annotations lacks its last letter.
  const errors = !isChanged
    ? []
    : field === 'labels'
      ? validateLabels(texts, 'metadata.labels')
      : validateAnnotations(texts, 'metadata.annotation');
  if (errors.length > 0) throw invalid(aggregated(errors));
  return { [field]: texts };
}

/** As Go's aggregate of errors: each once, in brackets where there are several. */
function aggregated(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map(({ field, body }) => `${field}: ${body}`))];
  return texts.length === 1 ? (texts[0] as string) : `[${texts.join(', ')}]`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function goTypeOf(value: unknown): string {
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return '[]interface {}';
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'number':
      return Number.isInteger(value) ? 'int64' : 'float64';
    default:
      return 'map[string]interface {}';
  }
}
