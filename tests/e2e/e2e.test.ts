import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describeIsolated } from '@k8ts/cri/testing';
import { beforeAll } from 'vitest';

import { ROOT } from '../support/installation.ts';

// Made outside: inside there is no way to Debian's packages.
beforeAll(() => {
  for (const example of ['demo', 'redis']) {
    if (
      existsSync(join(ROOT, 'examples', example, 'work', `${example === 'demo' ? 'guestbook' : 'redis'}.tar`))
    )
      continue;
    execFileSync(process.execPath, ['--import', 'tsx', `examples/${example}/build.ts`], {
      cwd: ROOT,
      stdio: 'inherit',
    });
  }
});

describeIsolated('end to end', 'tests/e2e');
