import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { abortable, untilAborted } from './cancellation.ts';
import { realClock } from './clock.ts';

describe('untilAborted', () => {
  it('resolves at the abort, and at once after it', async () => {
    const controller = new AbortController();
    let over = false;
    const waiting = untilAborted(controller.signal).then(() => (over = true));
    await Promise.resolve();
    expect(over).toBe(false);
    controller.abort();
    await waiting;
    await untilAborted(controller.signal);
  });
});

describe('abortable', () => {
  it('is as the promise where that settles first, and leaves the signal alone', async () => {
    const { signal } = new AbortController();
    await expect(abortable(Promise.resolve(1), signal)).resolves.toBe(1);
    await expect(abortable(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('rejects with the reason at the abort', async () => {
    const controller = new AbortController();
    const waiting = abortable(new Promise(() => undefined), controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  it('does not start to wait after the abort, and hears a later rejection', async () => {
    let fail: (error: Error) => void = () => undefined;
    const late = new Promise((_, reject) => {
      fail = reject;
    });
    await expect(abortable(late, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
    fail(new Error('unheard'));
    await realClock.yield(); // an unhandled rejection fails the run
  });
});
