import { randomBytes } from 'node:crypto';

import type { Logger } from '@k8ts/base';

import type { Forwarder } from './forwarder.ts';
import { RecordType } from './message.ts';
import type { Question } from './message.ts';
import type { Upstream } from './resolv-conf.ts';

/**
 * Finds out whether the servers that we ask ask us (a resolv.conf that names the cluster's DNS, directly or over others): a
 * question with a name that nobody can know is sent out, and must not come in. Asked anew when the servers change.
 */
export class LoopCheck {
  readonly #logger: Logger;
  readonly #name = `${randomBytes(8).toString('hex')}.${randomBytes(8).toString('hex')}.loop-check.k8ts`;
  #checkedFor = '';
  #looping = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get looping(): boolean {
    return this.#looping;
  }

  /** True for our own question, come back. */
  seen({ name, type }: Question): boolean {
    if (type !== RecordType.HINFO || name !== this.#name) return false;
    if (!this.#looping) {
      this.#logger.error(
        'Loop detected: the name servers of this machine ask the cluster DNS; names outside the cluster are not answered',
        {
          upstreams: this.#checkedFor,
        },
      );
    }
    this.#looping = true;
    return true;
  }

  /** Sends the question when these servers have not been asked yet. Never throws. */
  async check(upstreams: readonly Upstream[], forwarder: Forwarder, signal: AbortSignal): Promise<void> {
    const servers = upstreams.map(({ address, port }) => `${address}:${port}`).join(', ');
    if (servers === this.#checkedFor) return;
    this.#checkedFor = servers;
    this.#looping = false;
    if (upstreams.length === 0) return;
    await forwarder.lookUp(this.#name, RecordType.HINFO, signal).catch(() => undefined);
  }
}
