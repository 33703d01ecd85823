#!/usr/bin/env node
import { existsSync } from 'node:fs';

const program = new URL('../dist/program/k8ts.mjs', import.meta.url);
if (!existsSync(program)) {
  console.error('k8ts is not built yet: run `npm run build` (or `npm run up`, which does everything)');
  process.exit(1);
}
await import(program.href);
