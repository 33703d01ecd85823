/**
 * Makes the demo's image from the Node.js that runs this script, so that no registry is needed:
 * `npx tsx examples/demo/build.ts`, then `k8ts image import examples/demo/work/guestbook.tar`.
 */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { buildImageArchive } from '@k8ts/cri';

const here = fileURLToPath(new URL('.', import.meta.url));
const output = `${here}work/guestbook.tar`;

await mkdir(`${here}work`, { recursive: true });
const { size } = await buildImageArchive({
  output,
  tags: ['guestbook:1', 'guestbook:2'],
  files: [
    { source: process.execPath, path: '/usr/local/bin/node', mode: 0o755 },
    { source: `${here}guestbook.mjs`, path: '/app/guestbook.mjs', mode: 0o644 },
  ],
  texts: {
    '/etc/passwd': 'root:x:0:0:root:/:/sbin/nologin\nnode:x:1000:1000::/app:/sbin/nologin\n',
    '/etc/group': 'root:x:0:\nnode:x:1000:\n',
  },
  directories: [{ path: '/tmp', mode: 0o1777 }],
  entrypoint: ['/usr/local/bin/node', '/app/guestbook.mjs'],
  cmd: ['web'],
  user: '1000:1000',
  workingDir: '/app',
});
console.log(`${output} (${(size / 1e6).toFixed(0)} MB)`);
