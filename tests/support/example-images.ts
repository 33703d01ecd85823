import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from './installation.ts';

/** Makes the images of the examples where they are missing. Outside: in isolation there is no way to Debian's packages. */
export function buildExampleImages(): void {
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
