import { connect } from 'node:net';

import type { Clock } from '@k8ts/base';

import { withDeadline } from '../deadline.ts';

/**
 * Connects over TCP and hangs up. Rejects with the dial's error, or with a `DeadlineError` after `timeout` milliseconds;
 * in each case no socket is left, not even one that still sends its SYNs.
 */
export async function dial(
  clock: Clock,
  host: string,
  port: number,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  const socket = connect({ host, port, signal });
  try {
    await withDeadline(
      clock,
      timeout,
      signal,
      () =>
        new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve);
          socket.once('error', reject);
        }),
    );
  } finally {
    socket.on('error', () => undefined); // one may still come after the deadline
    socket.destroy();
  }
}
