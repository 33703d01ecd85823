/** Rules for single fields that many kinds share, with upstream's messages. */
import {
  FIELD_IMMUTABLE,
  index,
  invalidValue,
  isDNS1123Label,
  isDNS1123Subdomain,
  isQualifiedName,
  isValidPortNum,
  notSupported,
  regexMessage,
  required,
  type FieldError,
} from '@k8ts/apimachinery';

export const NOT_NEGATIVE = 'must be greater than or equal to 0';
export const NOT_POSITIVE = 'must be greater than zero';
export const NOT_INTEGER = 'must be an integer';
/** Secrets and config maps: all values together. */
export const MAX_DATA_SIZE: number = 1024 * 1024;

export const PROTOCOLS: readonly string[] = ['SCTP', 'TCP', 'UDP'];
export const IP_FAMILIES: readonly string[] = ['IPv4', 'IPv6'];

export function notNegative(value: number | undefined, path: string): FieldError[] {
  return (value ?? 0) < 0 ? [invalidValue(path, value, NOT_NEGATIVE)] : [];
}

/** One error per message. */
export function messages(list: readonly string[], value: unknown, path: string): FieldError[] {
  return list.map((message) => invalidValue(path, value, message));
}

export function dnsLabel(value: string, path: string): FieldError[] {
  return messages(isDNS1123Label(value), value, path);
}

export function dnsSubdomain(value: string, path: string): FieldError[] {
  return messages(isDNS1123Subdomain(value), value, path);
}

export function qualifiedName(value: string, path: string): FieldError[] {
  return messages(isQualifiedName(value), value, path);
}

export function portNumber(value: number | undefined, path: string): FieldError[] {
  return messages(isValidPortNum(value ?? 0), value ?? 0, path);
}

function oneOf(value: string | undefined, allowed: readonly string[], path: string): FieldError[] {
  return allowed.includes(value ?? '') ? [] : [notSupported(path, value ?? '', allowed)];
}

/** Required, and one of the values. */
export function requiredOneOf(
  value: string | undefined,
  allowed: readonly string[],
  path: string,
): FieldError[] {
  return value ? oneOf(value, allowed, path) : [required(path, '')];
}

/** `equal` says whether nothing changed. */
export function immutable(next: unknown, equal: boolean, path: string): FieldError[] {
  return equal ? [] : [invalidValue(path, next ?? null, FIELD_IMMUTABLE)];
}

/** Applies a rule to every element. */
export function each<T>(
  list: readonly T[] | undefined,
  path: string,
  rule: (item: T, path: string, position: number) => readonly FieldError[],
): FieldError[] {
  const errors: FieldError[] = [];
  for (let i = 0; i < (list?.length ?? 0); i++) {
    const found = rule((list as readonly T[])[i] as T, index(path, i), i);
    if (found.length > 0) errors.push(...found);
  }
  return errors;
}

export function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/** How many bytes a base64 string stands for. */
export function base64Length(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return Math.floor((text.length * 3) / 4) - padding;
}

/** A wrong value that the message does not repeat. */
export function invalidOmitted(path: string, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field: path, body: `Invalid value: ${detail}` };
}

/** `acme.io/foo`: a domain, then anything that may stand in a URL's path. */
export function domainPrefixedPath(value: string, path: string): FieldError[] {
  if (value === '') return [required(path, '')];
  const slash = value.indexOf('/');
  if (slash <= 0 || slash === value.length - 1)
    return [invalidValue(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')];
  const rest = value.slice(slash + 1);
  const errors = dnsSubdomain(value.slice(0, slash), path);
  if (!/^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(rest))
    errors.push(invalidValue(path, rest, regexMessage('Invalid path', "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+")));
  return errors;
}
