import { badRequest } from '@k8ts/apimachinery';

/** The query part of a request, parsed when first asked. */
export interface Query {
  get(name: string): string | undefined;
  getAll(name: string): readonly string[];
  readonly isEmpty: boolean;
  /** Without the question mark, for proxies. */
  readonly text: string;
}

const EMPTY_QUERY: Query = {
  get: () => undefined,
  getAll: () => [],
  isEmpty: true,
  text: '',
};

export function queryFromText(text: string): Query {
  if (text === '') return EMPTY_QUERY;
  let parsed: URLSearchParams | undefined;
  const params = (): URLSearchParams => (parsed ??= new URLSearchParams(text));
  return {
    get: (name) => params().get(name) ?? undefined,
    getAll: (name) => params().getAll(name),
    isEmpty: false,
    text,
  };
}

export function queryFromObject(values: Readonly<Record<string, string>> | undefined): Query {
  if (values === undefined) return EMPTY_QUERY;
  return {
    get: (name) => (Object.hasOwn(values, name) ? values[name] : undefined),
    getAll: (name) => (Object.hasOwn(values, name) ? [values[name] as string] : []),
    isEmpty: Object.keys(values).length === 0,
    get text() {
      return new URLSearchParams(values).toString();
    },
  };
}

/** Upstream's conversion of query booleans: absent and `false`, `0` are false, all else is true. */
export function booleanParameter(query: Query, name: string): boolean | undefined {
  const value = query.get(name);
  if (value === undefined) return undefined;
  switch (value.toLowerCase()) {
    case 'false':
    case '0':
      return false;
    default:
      return true;
  }
}

export function integerParameter(query: Query, name: string): number | undefined {
  const value = query.get(name);
  if (value === undefined || value === '') return undefined;
  if (!/^[+-]?\d+$/.test(value))
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: value out of range`);
  return number;
}
