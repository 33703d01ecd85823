import type { Clock } from '@k8ts/base';
import type { RegistryAuth } from '../contract.ts';
import { parseJson, record } from './image-config.ts';
import { DEFAULT_REGISTRY } from './reference.ts';
import type { ImageReference } from './reference.ts';

/** A response of the registry that is not the one hoped for. */
export class RegistryError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = 'RegistryError';
    this.status = status;
  }
}

export interface RegistryClientOptions {
  readonly clock: Clock;
  readonly auth?: RegistryAuth;
  readonly signal?: AbortSignal;
}

const REDIRECT_LIMIT = 5;
/** A registry that sends nothing for so long is given up. */
const STALL_MILLISECONDS = 60_000;
const TOKEN_LIMIT = 256 * 1024;

/**
 * Reads from one repository of a registry by the distribution protocol
 * (https://github.com/opencontainers/distribution-spec), with its token and basic authentication. Plain HTTP is spoken to
 * registries on the loopback only.
 */
export class RegistryClient {
  readonly #base: URL;
  readonly #repository: string;
  readonly #options: RegistryClientOptions;
  #authorization: string | undefined;

  constructor(reference: ImageReference, options: RegistryClientOptions) {
    const host = reference.registry === DEFAULT_REGISTRY ? 'registry-1.docker.io' : reference.registry;
    this.#base = new URL(`${isLoopback(host) ? 'http' : 'https'}://${host}`);
    this.#repository = reference.repository;
    this.#options = options;
    if (options.auth?.registryToken) this.#authorization = `Bearer ${options.auth.registryToken}`;
  }

  /** A manifest or index, of at most `limit` bytes. */
  async manifest(
    tagOrDigest: string,
    accept: readonly string[],
    limit: number,
  ): Promise<{ readonly body: Buffer; readonly mediaType: string }> {
    const url = this.#url(`manifests/${tagOrDigest}`);
    return this.#transfer(async (signal, progress) => {
      const response = await this.#request(url, { accept: accept.join(', ') }, signal);
      const body = await readLimited(response, limit, progress);
      return { body, mediaType: response.headers.get('content-type')?.split(';')[0]?.trim() ?? '' };
    });
  }

  /** Hands the content of a blob on, chunk by chunk. */
  async blob(digest: string, write: (chunk: Uint8Array) => Promise<void>): Promise<void> {
    await this.#transfer(async (signal, progress) => {
      const response = await this.#request(this.#url(`blobs/${digest}`), {}, signal);
      for await (const chunk of bodyOf(response)) {
        progress();
        await write(chunk);
        progress();
      }
    });
  }

  /** Runs a transfer that is aborted when it stalls, or by the caller. */
  async #transfer<T>(work: (signal: AbortSignal, progress: () => void) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const { clock, signal } = this.#options;
    signal?.throwIfAborted();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    let cancel: (() => void) | undefined;
    const progress = (): void => {
      cancel?.();
      cancel = clock.setTimeout(
        () => controller.abort(new Error(`the registry sent nothing for ${STALL_MILLISECONDS / 1000} s`)),
        STALL_MILLISECONDS,
      );
    };
    progress();
    try {
      return await work(controller.signal, progress);
    } catch (error) {
      controller.signal.throwIfAborted(); // its reason says more
      throw error;
    } finally {
      cancel?.();
      signal?.removeEventListener('abort', onAbort);
      controller.abort(); // a body that was not read to its end
    }
  }

  async #request(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    let response = await this.#follow(url, headers, signal);
    if (response.status === 401) {
      await response.body?.cancel();
      await this.#authenticate(response.headers.get('www-authenticate') ?? '', signal);
      response = await this.#follow(url, headers, signal);
    }
    if (response.ok) return response;
    throw new RegistryError(response.status, await errorText(url, response));
  }

  /** Follows redirects by hand: credentials go to the registry alone, and nothing goes from HTTPS down to HTTP. */
  async #follow(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    let target = url;
    for (let hops = 0; hops <= REDIRECT_LIMIT; hops++) {
      const own = target.origin === this.#base.origin;
      const response = await fetchOrExplain(target, {
        headers: {
          ...headers,
          ...(own && this.#authorization !== undefined && { authorization: this.#authorization }),
        },
        redirect: 'manual',
        signal,
      });
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) return response;
      await response.body?.cancel();
      const next = new URL(location, target);
      if (!mayUse(next)) throw new Error(`the registry redirects to ${next.origin}, which is not encrypted`);
      target = next;
    }
    throw new Error(`${url.href}: too many redirects`);
  }

  /** https://distribution.github.io/distribution/spec/auth/token/ */
  async #authenticate(challenge: string, signal: AbortSignal): Promise<void> {
    const { auth } = this.#options;
    const basic =
      auth?.username !== undefined && auth.username !== ''
        ? `Basic ${Buffer.from(`${auth.username}:${auth.password ?? ''}`).toString('base64')}`
        : undefined;
    const [, scheme = '', rest = ''] = /^\s*(\w+)\s+(.*)$/s.exec(challenge) ?? [];
    if (scheme.toLowerCase() === 'basic') {
      if (basic === undefined) throw new RegistryError(401, 'no basic auth credentials');
      this.#authorization = basic;
      return;
    }
    const parameters = new Map<string, string>();
    for (const [, key = '', value = ''] of rest.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      parameters.set(key.toLowerCase(), value.replace(/\\(.)/g, '$1'));
    }
    const realm = parameters.get('realm');
    if (scheme.toLowerCase() !== 'bearer' || realm === undefined || !URL.canParse(realm)) {
      throw new RegistryError(401, 'the registry asks for an authentication that is not known');
    }
    const url = new URL(realm);
    if (!mayUse(url)) throw new Error(`the registry's token service at ${url.origin} is not encrypted`);
    const scope = parameters.get('scope') ?? `repository:${this.#repository}:pull`;
    const service = parameters.get('service');
    let response: Response;
    if (auth?.identityToken) {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: auth.identityToken,
        scope,
      });
      form.set('client_id', 'k8ts');
      if (service !== undefined) form.set('service', service);
      response = await fetchOrExplain(url, { method: 'POST', body: form, redirect: 'error', signal });
    } else {
      url.searchParams.set('scope', scope);
      if (service !== undefined) url.searchParams.set('service', service);
      const headers = basic === undefined ? {} : { authorization: basic };
      response = await fetchOrExplain(url, { headers, redirect: 'error', signal });
    }
    if (!response.ok) throw new RegistryError(response.status, await errorText(url, response));
    const body = record(
      parseJson((await readLimited(response, TOKEN_LIMIT)).toString('utf8')),
      'token response',
    );
    const token = body['token'] ?? body['access_token'];
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
      throw new Error('the token service gave no token');
    this.#authorization = `Bearer ${token}`;
  }

  #url(path: string): URL {
    return new URL(`/v2/${this.#repository}/${path}`, this.#base);
  }
}

/** `localhost`, `127.0.0.0/8` and `::1`, with or without a port. */
function isLoopback(host: string): boolean {
  const name = host.startsWith('[') ? host.slice(1, host.indexOf(']')) : host.replace(/:\d+$/, '');
  return name === 'localhost' || name === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

function mayUse(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.host));
}

/** `fetch` says only "fetch failed"; why is in the cause. */
async function fetchOrExplain(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const { cause } = error as { cause?: { message?: string; code?: string } };
    const why = cause?.message || cause?.code || (error as Error).message;
    throw new Error(`failed to do request: ${init.method ?? 'Get'} "${url.href}": ${why}`, { cause: error });
  }
}

async function errorText(url: URL, response: Response): Promise<string> {
  const body = await readLimited(response, TOKEN_LIMIT).catch(() => Buffer.alloc(0));
  let detail = '';
  try {
    const { errors } = JSON.parse(body.toString('utf8')) as { errors?: { message?: string }[] };
    detail = errors?.[0]?.message ?? '';
  } catch {
    // Not every error is the protocol's own.
  }
  const status = `${response.status} ${response.statusText}`.trim();
  return `unexpected status from GET request to ${url.origin}${url.pathname}: ${status}${detail && `: ${detail}`}`;
}

async function readLimited(response: Response, limit: number, progress?: () => void): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(response)) {
    progress?.();
    size += chunk.length;
    if (size > limit) throw new Error(`the registry's answer is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function bodyOf(response: Response): AsyncIterable<Uint8Array> {
  return (response.body ?? []) as unknown as AsyncIterable<Uint8Array>;
}
