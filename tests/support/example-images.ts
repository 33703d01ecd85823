import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from './installation.ts';

/**
 * Vitest's global set-up of the end-to-end tests: makes the images of the examples where they are missing. Outside, since in
 * isolation there is no way to Debian's packages; once, since two at a time would write the same files.
 */
export function setup(): void {
  for (const [example, archive] of [
    ['demo', 'guestbook.tar'],
    ['redis', 'redis.tar'],
  ] as const) {
    if (existsSync(join(ROOT, 'examples', example, 'work', archive))) continue;
    execFileSync(process.execPath, ['--import', 'tsx', `examples/${example}/build.ts`], {
      cwd: ROOT,
      stdio: 'inherit',
    });
  }
}
