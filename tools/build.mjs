// Bundles into dist/: the program, as one script whose compiled code is kept (bin/k8ts.mjs), and the embed API, as modules whose
// parts are loaded when they are needed. Native modules stay in node_modules.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');

export async function ensureBuilt() {
  const stamp = join(DIST, '.built');
  const sources = sourceHash();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return;
  await build();
  writeFileSync(stamp, sources);
}

export async function build() {
  const { build: bundle } = await import('esbuild');
  rmSync(join(DIST, 'program'), { recursive: true, force: true });
  mkdirSync(DIST, { recursive: true });
  const started = performance.now();
  const common = {
    absWorkingDir: ROOT,
    outdir: 'dist/program',
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    mainFields: ['module', 'main'],
    sourcemap: true,
    external: ['lmdb', 'node-pty', '@lydell/node-pty'],
    logLevel: 'warning',
  };
  await bundle({
    ...common,
    entryPoints: { k8ts: 'packages/cluster/src/main.ts' },
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    // Without the comments, which are not ASCII.
    minifyWhitespace: true,
    lineLimit: 120,
    define: { 'import.meta.url': 'k8tsModuleUrl' },
    banner: { js: "const k8tsModuleUrl = require('node:url').pathToFileURL(__filename).href;" },
  });
  if (/[^\0-\x7f]/.test(readFileSync(join(DIST, 'program/k8ts.cjs'), 'utf8')))
    throw new Error('dist/program/k8ts.cjs is not ASCII, as bin/k8ts.mjs reads it');
  await bundle({
    ...common,
    entryPoints: { index: 'packages/cluster/src/index.ts' },
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    splitting: true,
    // CommonJS libraries inside the bundle call require for Node's own modules.
    banner: {
      js: "import { createRequire as k8tsRequire } from 'node:module'; const require = k8tsRequire(import.meta.url);",
    },
  });
  console.log(`built dist/program (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  buildDescriptions();
}

/** Texts for `kubectl explain`. They come from the npm registry; without it the program works, and explains less. */
function buildDescriptions() {
  if (existsSync(join(DIST, 'api-docs.json'))) return;
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', 'tools/build-api-docs.ts'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) console.warn('no descriptions for kubectl explain: the npm registry did not give them');
}

function sourceHash() {
  const hash = createHash('sha256');
  const { stdout } = spawnSync(
    'git',
    ['ls-files', '-s', '--', 'packages', 'package-lock.json', 'tools/build.mjs'],
    { cwd: ROOT },
  );
  hash.update(stdout);
  // What is changed and not yet committed counts by its content.
  const changed = spawnSync(
    'git',
    ['ls-files', '-m', '-o', '--exclude-standard', '-z', '--', 'packages', 'tools/build.mjs'],
    {
      cwd: ROOT,
    },
  );
  for (const file of changed.stdout.toString().split('\0').filter(Boolean).sort()) {
    hash.update(file);
    if (existsSync(join(ROOT, file))) hash.update(readFileSync(join(ROOT, file)));
  }
  return hash.digest('hex');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await build();
