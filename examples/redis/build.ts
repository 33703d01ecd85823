/**
 * Makes an image with Redis from Debian's packages, and busybox for a shell:
 * `npx tsx examples/redis/build.ts`, then `k8ts image import examples/redis/work/redis.tar`.
 * Needs apt; installs nothing on this machine.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildImageArchive } from '@k8ts/cri';

const work = fileURLToPath(new URL('work', import.meta.url));
const downloads = join(work, 'packages');
const root = join(work, 'root');
rmSync(work, { recursive: true, force: true });
mkdirSync(downloads, { recursive: true });
mkdirSync(root);

// What redis-server and redis-cli link against beyond libc comes from their packages too.
const packages = ['redis-tools', 'busybox-static', ...libraryPackages('redis-tools')];
execFileSync('apt-get', ['download', '-q', ...packages], {
  cwd: downloads,
  stdio: ['ignore', 'ignore', 'inherit'],
});
for (const archive of readdirSync(downloads)) execFileSync('dpkg', ['-x', join(downloads, archive), root]);

const output = join(work, 'redis.tar');
const { size } = await buildImageArchive({
  output,
  tags: ['redis:debian'],
  files: [
    // Debian's redis-server is a link to redis-check-rdb, which is the server under another name.
    { source: join(root, 'usr/bin/redis-check-rdb'), path: '/usr/bin/redis-server', mode: 0o755 },
    { source: join(root, 'usr/bin/redis-cli'), path: '/usr/bin/redis-cli', mode: 0o755 },
    { source: join(root, 'bin/busybox'), path: '/bin/busybox', mode: 0o755 },
  ],
  symlinks: {
    '/bin/sh': 'busybox',
    '/bin/nslookup': 'busybox',
    '/bin/cat': 'busybox',
    '/bin/sleep': 'busybox',
  },
  texts: {
    '/etc/passwd': 'root:x:0:0:root:/:/bin/sh\nredis:x:999:999::/data:/bin/sh\n',
    '/etc/group': 'root:x:0:\nredis:x:999:\n',
  },
  directories: [
    { path: '/data', mode: 0o777 },
    { path: '/tmp', mode: 0o1777 },
  ],
  libraryPath: [join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'lib/x86_64-linux-gnu')],
  entrypoint: ['/usr/bin/redis-server'],
  cmd: ['--protected-mode', 'no', '--dir', '/data'],
  exposedPorts: ['6379/tcp'],
  user: '999:999',
  workingDir: '/data',
});
console.log(`${output} (${(size / 1e6).toFixed(0)} MB)`);

function libraryPackages(of: string): string[] {
  const text = execFileSync('apt-cache', ['depends', '--no-recommends', '--no-suggests', of], {
    encoding: 'utf8',
  });
  return [...text.matchAll(/^\s*\|?Depends: (lib\S+)$/gm)].map((match) => match[1] as string);
}
