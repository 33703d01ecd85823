import type { Clock } from '@k8ts/base';

export class DeadlineError extends Error {
  constructor() {
    super('context deadline exceeded');
    this.name = 'DeadlineError';
  }
}

/**
 * Runs `task` with a signal that aborts after `milliseconds` (0: never) or with `signal`. Rejects with `DeadlineError` when
 * the time is up, also if the task ignores its signal. Leaves no timer behind.
 */
export async function withDeadline<T>(
  clock: Clock,
  milliseconds: number,
  signal: AbortSignal | undefined,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const combined = signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  if (milliseconds <= 0) return task(combined);
  let cancel = (): void => undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    cancel = clock.setTimeout(() => {
      const error = new DeadlineError();
      controller.abort(error);
      reject(error);
    }, milliseconds);
  });
  try {
    return await Promise.race([task(combined), deadline]);
  } finally {
    cancel();
  }
}
