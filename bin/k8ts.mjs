#!/usr/bin/env node
// Runs the program (dist/program/k8ts.cjs) from V8's code cache, which saves a quarter of its start (docs/adr/0005-code-cache.md).
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, Script } from 'node:vm';

const filename = fileURLToPath(new URL('../dist/program/k8ts.cjs', import.meta.url));
if (!existsSync(filename)) {
  console.error('k8ts is not built yet: run `npm run build` (or `npm run up`, which does everything)');
  process.exit(1);
}
// V8 takes no cache of another version or other flags. The build removes those of the program before.
const cacheFile = `${filename}.${process.version}-${process.arch}.cache`;
const cachedData = existsSync(cacheFile) ? readFileSync(cacheFile) : undefined;
// The build sees to it that the program is ASCII: one byte for each character, in memory too.
const source = readFileSync(filename, 'latin1');
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
  filename,
  cachedData,
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
// A cache holds the functions that have run; only a cluster runs enough of them to be worth keeping.
const isWorthKeeping = cachedData === undefined || script.cachedDataRejected;
if (isWorthKeeping && process.argv[2] === 'up') process.once('exit', keepCache);

const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename));

function keepCache() {
  try {
    const written = `${cacheFile}.${process.pid}`;
    writeFileSync(written, script.createCachedData(), { flush: true });
    renameSync(written, cacheFile); // whole, whoever else writes it
  } catch {
    // Not writable: the next start takes as long as this one.
  }
}
