import { defineConfig } from 'vitest/config';
import type { ViteUserConfig } from 'vitest/config';

/** Tests that make networks, mounts and containers. Run through `tools/isolated.sh`; see `describeIsolated`. */
const config: ViteUserConfig = defineConfig({
  test: {
    include: ['packages/*/src/**/*.isolated.ts', 'tests/**/*.isolated.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 1,
    reporters: ['default'],
  },
});

export default config;
