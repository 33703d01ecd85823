import { errorMessage } from '@k8ts/base';

const TEXTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  ECONNRESET: 'read: connection reset by peer',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
  EADDRNOTAVAIL: 'connect: cannot assign requested address',
};

/** A failed connection in Go's words, which events, tests and people know. */
export function dialError(error: unknown, host: string, port: number): string {
  const code = (error as { code?: unknown } | null)?.code;
  const text = typeof code === 'string' ? TEXTS[code] : undefined;
  if (text !== undefined) return `dial tcp ${host.includes(':') ? `[${host}]` : host}:${port}: ${text}`;
  return errorMessage(error);
}
