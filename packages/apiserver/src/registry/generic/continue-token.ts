/** Where the next page starts: upstream's base64 of `{"v":"meta.k8s.io/v1","rv":7,"start":"default/web\u0000"}`. */
import { posix } from 'node:path';
import { badRequest } from '@k8ts/apimachinery';
import { keyFromText, textFromKey } from '@k8ts/store';

const VERSION = 'meta.k8s.io/v1';

export interface ContinueToken {
  readonly startKey: string;
  /** -1: go on with what is there now. */
  readonly revision: number;
}

export function encodeContinue(key: string, prefix: string, revision: number): string {
  const start = textFromKey(key.slice(prefix.length));
  return Buffer.from(JSON.stringify({ v: VERSION, rv: revision, start })).toString('base64url');
}

/** Throws 400 for what this server did not make; a token cannot lead outside `prefix`. */
export function decodeContinue(token: string, prefix: string): ContinueToken {
  const invalid = (): Error => badRequest('continue key is not valid: illegal base64 data or JSON');
  if (!/^[A-Za-z0-9_-]*$/.test(token)) throw invalid();
  let parsed: { readonly v?: unknown; readonly rv?: unknown; readonly start?: unknown };
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString()) as typeof parsed;
  } catch {
    throw invalid();
  }
  if (typeof parsed !== 'object' || parsed === null) throw invalid();
  const { v, rv, start } = parsed;
  if (v !== VERSION)
    throw badRequest(
      `continue key is not valid: server does not recognize this encoded version ${typeof v === 'string' ? v : ''}`,
    );
  if (typeof rv !== 'number' || rv === 0 || !Number.isSafeInteger(rv) || rv < -1)
    throw badRequest(
      'continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)',
    );
  if (typeof start !== 'string' || start === '')
    throw badRequest('continue key is not valid: encoded start key empty (version meta.k8s.io/v1)');
  const key = start.startsWith('/') ? start : `/${start}`;
  if (posix.normalize(key) !== key) throw badRequest(`continue key is not valid: ${start}`);
  return { startKey: prefix + keyFromText(key.slice(1)), revision: rv };
}
