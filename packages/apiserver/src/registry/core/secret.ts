import { createPrivateKey, X509Certificate } from 'node:crypto';
import { corev1 } from '@k8ts/api';
import {
  FIELD_IMMUTABLE,
  forbiddenField,
  invalidValue,
  isConfigMapKey,
  key,
  required,
  tooLong,
  type FieldError,
} from '@k8ts/apimachinery';
import { secretColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { base64Length, MAX_DATA_SIZE, messages } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';

type Secret = corev1.Secret;

const IMMUTABLE = 'field is immutable when `immutable` is set';
const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name';
const REDACTED = '<secret contents redacted>';
const sameData = fieldComparison(corev1.secrets, 'data');

function validate(secret: Secret): FieldError[] {
  const { data = {} } = secret;
  const errors: FieldError[] = [];
  let size = 0;
  for (const [name, value] of Object.entries(data)) {
    errors.push(...messages(isConfigMapKey(name), name, key('data', name)));
    size += base64Length(value);
  }
  if (size > MAX_DATA_SIZE) errors.push(tooLong('data', MAX_DATA_SIZE));
  return [...errors, ...validateType(secret, data)];
}

/** Each well-known type has values that it cannot be without. */
function validateType({ type, metadata }: Secret, data: Readonly<Record<string, string>>): FieldError[] {
  switch (type) {
    case 'kubernetes.io/service-account-token':
      return metadata.annotations?.[SERVICE_ACCOUNT_NAME]
        ? []
        : [required(key('metadata.annotations', SERVICE_ACCOUNT_NAME), '')];
    case 'kubernetes.io/dockercfg':
      return validateJson(data, '.dockercfg');
    case 'kubernetes.io/dockerconfigjson':
      return validateJson(data, '.dockerconfigjson');
    case 'kubernetes.io/basic-auth':
      return data['username'] === undefined && data['password'] === undefined
        ? [required(key('data', 'username'), ''), required(key('data', 'password'), '')]
        : [];
    case 'kubernetes.io/ssh-auth':
      return data['ssh-privatekey'] ? [] : [required(key('data', 'ssh-privatekey'), '')];
    case 'kubernetes.io/tls':
      return ['tls.crt', 'tls.key']
        .filter((name) => data[name] === undefined)
        .map((name) => required(key('data', name), ''));
    default:
      return [];
  }
}

function validateJson(data: Readonly<Record<string, string>>, name: string): FieldError[] {
  const value = data[name];
  if (value === undefined) return [required(key('data', name), '')];
  const wrong = wrongJson(Buffer.from(value, 'base64').toString('utf8'));
  return wrong === undefined ? [] : [invalidValue(key('data', name), REDACTED, wrong)];
}

/** What Go's encoding/json says of a text that is not an object. */
function wrongJson(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return jsonSyntaxError(text);
  }
  if (value === null || (typeof value === 'object' && !Array.isArray(value))) return undefined;
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
}

// The two usual cases in Go's words: nothing there (or cut off), and something that is no JSON from its first character.
function jsonSyntaxError(text: string): string {
  const first = /[^ \t\r\n]/u.exec(text)?.[0];
  if (first === undefined) return 'unexpected end of JSON input';
  if (!'{["-0123456789tfn'.includes(first))
    return `invalid character '${first}' looking for beginning of value`;
  return 'invalid JSON';
}

/** A TLS secret whose key does not belong to its certificate is accepted, with a warning. */
function tlsWarnings({ type, data = {} }: Secret): readonly string[] {
  if (type !== 'kubernetes.io/tls') return [];
  const text = (name: string): string => Buffer.from(data[name] ?? '', 'base64').toString('utf8');
  const certificate = text('tls.crt');
  const privateKey = text('tls.key');
  if (!certificate.includes('-----BEGIN CERTIFICATE-----'))
    return ['tls: failed to find any PEM data in certificate input'];
  if (!/-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/.test(privateKey))
    return ['tls: failed to find any PEM data in key input'];
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey))
      ? []
      : ['tls: private key does not match public key'];
  } catch {
    return ['tls: failed to parse private key'];
  }
}

export const secretStrategy: Strategy<Secret> = {
  type: corev1.secrets,
  setDefaults(secret) {
    if (!secret.type) secret.type = 'Opaque';
    // Written as text, kept as data; what was said in both ways is what the text says.
    if (secret.stringData !== undefined) {
      for (const [name, value] of Object.entries(secret.stringData))
        (secret.data ??= {})[name] = Buffer.from(value, 'utf8').toString('base64');
      delete secret.stringData;
    }
  },
  prepareForUpdate(secret, old) {
    if (!secret.type && old.type !== undefined) secret.type = old.type;
  },
  validate,
  validateUpdate(secret, old) {
    const errors: FieldError[] = [];
    if (secret.type !== old.type) errors.push(invalidValue('type', secret.type, FIELD_IMMUTABLE));
    if (old.immutable === true) {
      if (secret.immutable !== true) errors.push(forbiddenField('immutable', IMMUTABLE));
      if (!sameData(secret.data, old.data)) errors.push(forbiddenField('data', IMMUTABLE));
    }
    return [...errors, ...validate(secret)];
  },
  warnings: tlsWarnings,
  selectableFields: ({ type }) => ({ type: type ?? '' }),
  columns: secretColumns,
};
