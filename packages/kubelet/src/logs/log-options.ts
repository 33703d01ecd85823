import { fromWireTime } from '../wire-time.ts';

/** What part of a log is wanted, and how (core/v1 PodLogOptions). */
export interface LogOptions {
  readonly follow: boolean;
  readonly timestamps: boolean;
  /** Lines from before this are left out; milliseconds since the epoch. */
  readonly since: number | undefined;
  /** Lines from the end. */
  readonly tail: number | undefined;
  /** Of the output. */
  readonly limitBytes: number | undefined;
  readonly stream: 'stdout' | 'stderr' | undefined;
}

export class LogOptionsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LogOptionsError';
  }
}

/** From the query of a request. Throws `LogOptionsError`. `now` in milliseconds since the epoch. */
export function logOptions(query: URLSearchParams, now: number): LogOptions & { readonly previous: boolean } {
  const flag = (name: string): boolean => {
    const value = query.get(name);
    return value !== null && !['', '0', 'f', 'F', 'false', 'False', 'FALSE'].includes(value);
  };
  const integer = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    if (!/^-?\d{1,15}$/.test(text))
      throw new LogOptionsError(`${name}: Invalid value: "${text}": must be an integer`);
    return Number(text);
  };
  const tail = query.get('tailLines') === 'all' ? undefined : (integer('tailLines') ?? integer('tail'));
  if (tail !== undefined && tail < 0)
    throw new LogOptionsError(`tailLines: Invalid value: ${tail}: must be greater than or equal to 0`);
  const limitBytes = integer('limitBytes');
  if (limitBytes !== undefined && limitBytes < 1)
    throw new LogOptionsError(`limitBytes: Invalid value: ${limitBytes}: must be greater than 0`);
  const sinceSeconds = integer('sinceSeconds');
  if (sinceSeconds !== undefined && sinceSeconds < 1)
    throw new LogOptionsError(`sinceSeconds: Invalid value: ${sinceSeconds}: must be greater than 0`);
  const sinceTime = query.get('sinceTime') ?? '';
  if (sinceSeconds !== undefined && sinceTime !== '')
    throw new LogOptionsError('at most one of `sinceTime` or `sinceSeconds` may be specified');
  const sinceAt = sinceTime === '' ? undefined : fromWireTime(sinceTime);
  if (sinceTime !== '' && sinceAt === undefined)
    throw new LogOptionsError(`sinceTime: Invalid value: "${sinceTime}": must be a time`);
  const stream = query.get('stream') ?? 'All';
  if (!['All', 'Stdout', 'Stderr', ''].includes(stream))
    throw new LogOptionsError(
      `stream: Unsupported value: "${stream}": supported values: "All", "Stderr", "Stdout"`,
    );
  if (tail !== undefined && stream !== 'All' && stream !== '')
    throw new LogOptionsError('`tailLines` and specific `stream` are mutually exclusive for now');
  return {
    follow: flag('follow'),
    previous: flag('previous'),
    timestamps: flag('timestamps'),
    since: sinceSeconds === undefined ? sinceAt : now - sinceSeconds * 1000,
    tail,
    limitBytes,
    stream: stream === 'Stdout' ? 'stdout' : stream === 'Stderr' ? 'stderr' : undefined,
  };
}
