import { defineConfig } from 'vitest/config';
import type { ViteUserConfig } from 'vitest/config';

// Time limits are a safety net against hangs only; nothing is tuned to them.
const common = { testTimeout: 120_000, hookTimeout: 120_000, pool: 'forks' as const };

const config: ViteUserConfig = defineConfig({
  test: {
    maxWorkers: 2,
    reporters: ['default'],
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'tools/**/*.test.ts',
            'tests/clients/**/*.test.ts',
            'tests/conformance/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          ...common,
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          globalSetup: ['tests/support/example-images.ts'],
        },
      },
      { test: { ...common, name: 'crash', include: ['tests/crash/**/*.test.ts'] } },
    ],
  },
});

export default config;
