import type { authenticationv1 } from '@k8ts/api';
import { corev1 } from '@k8ts/api';
import type { Clock, Random } from '@k8ts/base';
import type { Client } from '@k8ts/client';

import { podNamespace, podUid } from '../pod/pod-spec.ts';
import type { Pod } from '../pod/types.ts';
import { fromWireTime } from '../wire-time.ts';
import type { TokenSource } from './payload.ts';

interface Token {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly refreshAt: number;
  readonly expiresAt: number;
}

const DAY = 24 * 3600 * 1000;
const JITTER = 10_000;

/**
 * Tokens bound to pods (pkg/kubelet/token): kept, and asked for anew when 80 % of their time or a day is over. When the API
 * does not answer, the old one is used to its end.
 */
export class ServiceAccountTokens implements TokenSource {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #tokens = new Map<string, Token>();

  constructor(client: Client, clock: Clock, random: Random) {
    this.#client = client;
    this.#clock = clock;
    this.#random = random;
  }

  async token(pod: Pod, audience: string, expirationSeconds: number): Promise<string> {
    const key = JSON.stringify([podUid(pod), audience, expirationSeconds]);
    const known = this.#tokens.get(key);
    const now = this.#clock.now();
    if (known !== undefined && now < known.refreshAt) return known.token;
    try {
      const token = await this.#request(pod, audience, expirationSeconds);
      this.#tokens.set(key, token);
      return token.token;
    } catch (error) {
      if (known !== undefined && now < known.expiresAt) return known.token;
      throw error;
    }
  }

  /** When the next token of the pod should be renewed, in milliseconds since the epoch. */
  nextRefresh(podUid: string): number | undefined {
    const prefix = JSON.stringify([podUid]).slice(0, -1);
    let next: number | undefined;
    for (const [key, { refreshAt }] of this.#tokens)
      if (key.startsWith(prefix)) next = Math.min(next ?? refreshAt, refreshAt);
    return next;
  }

  forget(podUid: string): void {
    const prefix = JSON.stringify([podUid]).slice(0, -1);
    for (const key of this.#tokens.keys()) if (key.startsWith(prefix)) this.#tokens.delete(key);
  }

  async #request(pod: Pod, audience: string, expirationSeconds: number): Promise<Token> {
    const account = pod.spec.serviceAccountName ?? 'default';
    const now = this.#clock.now();
    const answer = await this.#client
      .resource(corev1.serviceAccounts, podNamespace(pod))
      .createSubresource<authenticationv1.TokenRequest>(account, 'token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: {},
        spec: {
          audiences: audience === '' ? [] : [audience],
          expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: podUid(pod) },
        },
      });
    const token = answer.status?.token ?? '';
    const expiresAt = fromWireTime(answer.status?.expirationTimestamp) ?? now + expirationSeconds * 1000;
    const jitter = this.#random() * JITTER;
    const refreshAt = Math.min(now + (expiresAt - now) * 0.8, now + DAY) - jitter;
    return { token, expiresAt, refreshAt };
  }
}
