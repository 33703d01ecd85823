import { access } from 'node:fs/promises';
import { buildImageArchive } from '../images/build-image.ts';
import type { BuiltImage } from '../images/build-image.ts';

export const BUSYBOX_IMAGE: string = 'docker.io/k8ts/busybox:test';

const APPLETS =
  'sh echo true false env sleep cat ls ps id hostname head tail dd mount touch wc grep seq printf find sort nc wget kill tty stty ip date chmod mkdir rm yes tr stat ulimit setsid';

/** An image of this machine's busybox (Debian's busybox-static), for tests that run real containers. */
export async function buildBusyboxArchive(output: string): Promise<BuiltImage> {
  const busybox = await firstExisting(['/bin/busybox', '/usr/bin/busybox']);
  return buildImageArchive({
    output,
    tags: [BUSYBOX_IMAGE],
    files: [{ source: busybox, path: '/bin/busybox' }],
    symlinks: Object.fromEntries(APPLETS.split(' ').map((applet) => [`/bin/${applet}`, 'busybox'])),
    directories: [
      { path: '/tmp', mode: 0o1777 },
      { path: '/proc' },
      { path: '/sys' },
      { path: '/dev' },
      { path: '/root' },
    ],
    texts: {
      '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:2000:app:/:/bin/sh\n',
      '/etc/group': 'root:x:0:\napp:x:2000:\nextra:x:3000:app\n',
    },
    cmd: ['sh'],
  });
}

async function firstExisting(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const exists = await access(path).then(
      () => true,
      () => false,
    );
    if (exists) return path;
  }
  throw new Error(`none of ${paths.join(', ')} is here: install busybox-static`);
}
