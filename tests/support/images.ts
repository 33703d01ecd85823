import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { buildImageArchive } from '@k8ts/cri';

/** A shell with everything that busybox has. */
export const BUSYBOX = 'busybox:test';

/** Makes an image of this machine's busybox (Debian's busybox-static). */
export async function buildBusybox(output: string): Promise<void> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (busybox === undefined) throw new Error('there is no busybox here: install busybox-static');
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  await buildImageArchive({
    output,
    tags: [BUSYBOX],
    files: [{ source: busybox, path: '/bin/busybox', mode: 0o755 }],
    symlinks: Object.fromEntries(
      applets.filter((name) => name !== 'busybox').map((name) => [`/bin/${name}`, 'busybox']),
    ),
    directories: [{ path: '/tmp', mode: 0o1777 }, { path: '/root' }],
    texts: {
      '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:2000:app:/:/bin/sh\n',
      '/etc/group': 'root:x:0:\napp:x:2000:\n',
    },
    cmd: ['sh'],
  });
}
