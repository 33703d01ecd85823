import type { Clock } from '@k8ts/base';
import type { Progress } from './contract.ts';

/** Lines for a person: ` ✓ API server ready (0.31 s)`. On a terminal the running step is rewritten in place. */
export function terminalProgress(out: NodeJS.WriteStream, clock: Clock): Progress {
  const rewrites = out.isTTY;
  let running: { readonly text: string; readonly since: number } | undefined;
  const finish = (mark: string): void => {
    if (running === undefined) return;
    const seconds = ((clock.monotonic() - running.since) / 1000).toFixed(2);
    out.write(`${rewrites ? '\r\x1b[2K' : ''} ${mark} ${running.text} (${seconds} s)\n`);
    running = undefined;
  };
  return {
    step(text) {
      finish('✓');
      running = { text, since: clock.monotonic() };
      if (rewrites) out.write(` … ${text}`);
    },
    note(text) {
      out.write(`${rewrites && running !== undefined ? '\r\x1b[2K' : ''}   ${text}\n`);
      if (rewrites && running !== undefined) out.write(` … ${running.text}`);
    },
    end(outcome) {
      finish(outcome === 'done' ? '✓' : '✗');
    },
  };
}
