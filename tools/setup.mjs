// Installs the npm dependencies if they are not there or the lock file has changed since. Plain JavaScript without
// dependencies, since it runs before there are any.
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export function ensureDependencies() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`k8ts needs Node.js 20.19 or newer; this is ${process.versions.node}`);
    process.exit(1);
  }
  const stamp = join(ROOT, 'node_modules', '.cache', 'k8ts-installed');
  const lock = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  // `npm ci` empties node_modules first, which a checkout in use would feel.
  const command = existsSync(join(ROOT, 'node_modules')) ? 'install' : 'ci';
  console.log(`installing npm dependencies (npm ${command})`);
  const { status } = spawnSync('npm', [command, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    stdio: 'inherit',
    shell: process.platform === 'win32', // npm is a script there
  });
  if (status !== 0) process.exit(status ?? 1);
  mkdirSync(join(ROOT, 'node_modules', '.cache'), { recursive: true });
  writeFileSync(stamp, lock);
}

/** kubectl and etcd, for the tests that use them. Continuous integration must have them; elsewhere those tests say what is missing. */
function fetchUpstreamPrograms() {
  if (process.platform !== 'linux') return;
  const { status } = spawnSync(join(ROOT, 'tools', 'upstream-binaries.sh'), { stdio: 'inherit' });
  if (status === 0) return;
  console.error('upstream programs (kubectl, etcd) could not be fetched');
  if (process.env.CI !== undefined) process.exit(1);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  ensureDependencies();
  fetchUpstreamPrograms();
}
