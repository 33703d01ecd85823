import { realClock, silentLogger } from '@k8ts/base';
import type { Transport } from '@k8ts/client';
import { createMemoryStore } from '@k8ts/store';
import type { ObjectReader } from '../object-reader.ts';
import { createApiServer, type ApiServer } from '../server.ts';
import type { ApiServerOptions } from '../server-options.ts';
import { ADMIN } from './identities.ts';

export interface TestServer extends AsyncDisposable {
  readonly server: ApiServer;
  /** As ADMIN. */
  readonly transport: Transport;
  /** `http://127.0.0.1:port`, where `plainPort` was asked for. */
  readonly url: string;
}

/**
 * A server over a memory store in which everybody may do everything and objects are frozen; over HTTP everybody is ADMIN.
 * Options override.
 */
export async function createTestServer(
  options: Partial<ApiServerOptions> = {},
  /** For what reads the server's own objects. */
  further: (objects: ObjectReader) => Partial<ApiServerOptions> = () => ({}),
): Promise<TestServer> {
  const clock = options.clock ?? realClock;
  const ownStore =
    options.store === undefined ? createMemoryStore({ clock, logger: silentLogger }) : undefined;
  const server = await createApiServer((objects) => ({
    store: options.store ?? (ownStore as NonNullable<typeof ownStore>),
    clock,
    authenticators: [{ name: 'test', authenticate: () => ({ user: ADMIN }) }],
    authorizers: [{ name: 'test', authorize: () => ({ verdict: 'allow', reason: '' }) }],
    plainPort: 0,
    freeze: deepFreeze,
    ...options,
    ...further(objects),
  }));
  await server.listen();
  return {
    server,
    transport: server.transportFor(ADMIN),
    url: `http://127.0.0.1:${server.plainAddress?.port}`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await ownStore?.[Symbol.asyncDispose]();
    },
  };
}

export function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const child of Object.values(value)) deepFreeze(child);
}
