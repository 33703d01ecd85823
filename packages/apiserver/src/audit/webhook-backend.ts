/** Events as lists that are posted to a server (k8s.io/apiserver/plugin/pkg/audit/webhook). */
import { setMaxListeners } from 'node:events';
import { realClock, type CancelTimer, type Clock, type Random } from '@k8ts/base';
import { createHttpTransport, retryOnError, type KubeconfigTarget } from '@k8ts/client';
import { eventJson } from './audit-event.ts';
import type { ReportLoss } from './audit-metrics.ts';
import { allStored, type AuditBackend } from './contract.ts';

export interface WebhookBackendOptions {
  readonly target: KubeconfigTarget;
  /** Milliseconds before the second attempt; it grows from one to the next. */
  readonly initialBackoff: number;
  /** Milliseconds that one attempt may take. */
  readonly requestTimeout: number;
  /** Milliseconds that deliveries get once the server stops. */
  readonly shutdownGrace: number;
  /** For the waits between attempts. */
  readonly clock: Clock;
  readonly random: Random;
  readonly reportLoss: ReportLoss;
}

/** As upstream's webhooks in general (apiserver/pkg/util/webhook). */
const BACKOFF = { steps: 5, factor: 1.5, jitter: 0.2 };
/** Characters. A longer list is sent in parts: its text would not fit into a string in the end. */
const MAX_LIST_LENGTH = 32 * 1024 * 1024;
/** Nobody reads what the server answers. */
const MAX_ANSWER_BYTES = 1024 * 1024;

export function webhookBackend(options: WebhookBackendOptions): AuditBackend {
  const { target, initialBackoff, requestTimeout, shutdownGrace, clock, random, reportLoss } = options;
  const transport = createHttpTransport({
    ...target.transport,
    userAgent: 'kube-apiserver',
    requestTimeout,
    maxAnswerBytes: MAX_ANSWER_BYTES,
  });
  // The path of the server's address is put before it, without a slash at its end.
  const path = /^\/*$/.test(new URL(target.transport.server).pathname) ? '/' : '';
  const stopped = new AbortController();
  setMaxListeners(0, stopped.signal); // one for each delivery
  const deliveries = new Set<Promise<boolean>>();

  const deliver = async (body: string): Promise<void> => {
    const { signal } = stopped;
    await retryOnError(
      { clock, random, signal, initial: initialBackoff, ...BACKOFF },
      () => true,
      () => transport.request({ method: 'POST', path, body, signal }),
    );
  };

  let cancelDeadline: CancelTimer | undefined;
  const stopping = (): void => {
    // The server at the other end is in real time, whatever clock the cluster runs on.
    cancelDeadline ??= realClock.setTimeout(
      () => stopped.abort(new Error('audit backend shut down')),
      shutdownGrace,
    );
  };

  return {
    process(events) {
      const items = events.map((event) => eventJson(event, true));
      if (events.length > 1 && items.reduce((sum, { length }) => sum + length, 0) > MAX_LIST_LENGTH) {
        const half = events.length >> 1;
        return allStored([this.process(events.slice(0, half)), this.process(events.slice(half))]);
      }
      const body = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${items.join(',')}]}\n`;
      const delivery: Promise<boolean> = deliver(body)
        .then(
          () => true,
          (error: unknown) => {
            reportLoss('webhook', error, events);
            return false;
          },
        )
        .finally(() => deliveries.delete(delivery));
      deliveries.add(delivery);
      return delivery;
    },
    stopping,
    async stop() {
      stopping();
      await Promise.all(deliveries);
      cancelDeadline?.();
      await transport[Symbol.asyncDispose]();
    },
  };
}
