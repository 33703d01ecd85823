/** Which form of the answer a client wants: `Accept`, as k8s.io/apiserver/pkg/endpoints/handlers/negotiation reads it. */
import { notAcceptable } from '@k8ts/apimachinery';
import type { RequestContext } from '../request/request-context.ts';

type Serializer = 'json' | 'yaml' | 'protobuf';

export interface OutputFormat {
  readonly serializer: Serializer;
  /** The answer as a Table, or cut down to metadata. */
  readonly transform: 'none' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';
  /** Of meta.k8s.io, for transforms. */
  readonly metaVersion: 'v1' | 'v1beta1';
  readonly pretty: boolean;
}

interface Clause {
  readonly type: string;
  readonly subtype: string;
  readonly quality: number;
  readonly parameters: ReadonlyMap<string, string>;
}

const SERIALIZERS: readonly { readonly serializer: Serializer; readonly type: string }[] = [
  { serializer: 'json', type: 'application/json' },
  { serializer: 'yaml', type: 'application/yaml' },
  { serializer: 'protobuf', type: 'application/vnd.kubernetes.protobuf' },
];

const PLAIN: OutputFormat = { serializer: 'json', transform: 'none', metaVersion: 'v1', pretty: false };
const PRETTY: OutputFormat = { ...PLAIN, pretty: true };

// Clients send a handful of different headers; what is remembered stays small whatever they send.
const known = new Map<string, OutputFormat | undefined>();
const KNOWN_MAX = 256;

export interface NegotiateOptions {
  readonly stream?: boolean;
  /** Custom resources have no protobuf form; their metadata has one. */
  readonly isCustom?: boolean;
}

/** Throws 406. */
export function negotiate(context: RequestContext, options: NegotiateOptions = {}): OutputFormat {
  const { accept } = context.headers;
  const { stream = false, isCustom = false } = options;
  let format: OutputFormat | undefined = PLAIN;
  if (accept !== undefined && accept !== '' && accept !== 'application/json' && accept !== '*/*') {
    const key = isCustom ? `custom ${accept}` : accept;
    if (known.has(key)) format = known.get(key);
    else {
      format = negotiateHeader(accept, isCustom);
      if (known.size < KNOWN_MAX && accept.length < 1024) known.set(key, format);
    }
  }
  if (format === undefined) {
    const types = SERIALIZERS.filter(({ serializer }) => !isCustom || serializer !== 'protobuf').map(
      ({ type }) => (stream ? `${type};stream=watch` : type),
    );
    throw notAcceptable(`only the following media types are accepted: ${types.join(', ')}`);
  }
  if (format.serializer === 'json' && !format.pretty && wantsPretty(context))
    return format === PLAIN ? PRETTY : { ...format, pretty: true };
  return format;
}

/** For what has no form as a Table (reviews, bindings, evictions): throws 406 where nothing else is accepted. */
export function refuseTable({ headers: { accept } }: RequestContext): void {
  if (accept === undefined || !accept.includes('as=Table')) return;
  const rest = parseAccept(accept).some(({ parameters }) => parameters.get('as') !== 'Table');
  if (rest) return; // `negotiate` judges that
  throw notAcceptable(
    `only the following media types are accepted: ${SERIALIZERS.map(({ type }) => type).join(', ')}`,
  );
}

function wantsPretty({ query, headers }: RequestContext): boolean {
  if (!query.isEmpty) {
    const pretty = query.get('pretty');
    if (pretty !== undefined && pretty !== '') return TRUE.has(pretty);
  }
  const agent = headers['user-agent'];
  return (
    agent !== undefined &&
    (agent.startsWith('curl') || agent.startsWith('Wget') || agent.startsWith('Mozilla/5.0'))
  );
}

const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

function negotiateHeader(header: string, isCustom: boolean): OutputFormat | undefined {
  for (const clause of parseAccept(header)) {
    for (const { serializer, type } of SERIALIZERS) {
      const [main, sub] = type.split('/') as [string, string];
      const matches =
        (clause.type === main && (clause.subtype === sub || clause.subtype === '*')) ||
        (clause.type === '*' && clause.subtype === '*');
      const format = matches ? formatOf(serializer, clause.parameters) : undefined;
      if (format === undefined) continue;
      const exists = !isCustom || format.serializer !== 'protobuf' || format.transform !== 'none';
      if (exists) return format;
    }
  }
  return undefined;
}

function formatOf(serializer: Serializer, parameters: ReadonlyMap<string, string>): OutputFormat | undefined {
  const stream = parameters.get('stream');
  if (stream !== undefined && stream !== '' && stream !== 'watch') return undefined;
  const pretty = parameters.get('pretty') === '1';
  const as = parameters.get('as');
  const group = parameters.get('g');
  const version = parameters.get('v');
  if (as === undefined && group === undefined && version === undefined)
    return { serializer, transform: 'none', metaVersion: 'v1', pretty };
  if (group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined;
  if (as === 'Table') {
    if (serializer === 'protobuf') return undefined;
  } else if (as !== 'PartialObjectMetadata' && as !== 'PartialObjectMetadataList') return undefined;
  return { serializer, transform: as, metaVersion: version, pretty };
}

/** The clauses by quality, then as written. */
export function parseAccept(header: string): Clause[] {
  const clauses: Clause[] = [];
  for (const part of header.split(',')) {
    const [range = '', ...rest] = part.split(';');
    const [type = '', subtype = ''] = range.trim().split('/');
    if (type === '') continue;
    const parameters = new Map<string, string>();
    let quality = 1;
    for (const piece of rest) {
      const equals = piece.indexOf('=');
      if (equals < 0) continue;
      const name = piece.slice(0, equals).trim();
      const value = piece.slice(equals + 1).trim();
      if (name === 'q') quality = Number.parseFloat(value) || 0;
      else parameters.set(name, value);
    }
    clauses.push({ type, subtype: type === '*' && subtype === '' ? '*' : subtype, quality, parameters });
  }
  return clauses
    .map((clause, order) => ({ clause, order }))
    .sort((a, b) => b.clause.quality - a.clause.quality || a.order - b.order)
    .map(({ clause }) => clause);
}

export function contentTypeOf(format: OutputFormat, stream = false): string {
  const type = SERIALIZERS.find(({ serializer }) => serializer === format.serializer)?.type as string;
  return stream && format.serializer !== 'json' ? `${type};stream=watch` : type;
}
