import { readFile } from 'node:fs/promises';
import { CommandError, runCommand } from '@k8ts/base';

/** What volumes need of the machine's mounts; tests give another. */
export interface Mounter {
  /** A file system in memory; `sizeLimit` in bytes. */
  mountTmpfs(target: string, sizeLimit: number | undefined): Promise<void>;
  bind(source: string, target: string): Promise<void>;
  /** Nothing mounted there: harmless. */
  unmount(target: string): Promise<void>;
  /** Mount points below a directory, the deepest first. */
  below(directory: string): Promise<string[]>;
}

export const linuxMounter: Mounter = {
  async mountTmpfs(target, sizeLimit) {
    const options = sizeLimit === undefined ? 'mode=0777' : `mode=0777,size=${sizeLimit}`;
    await runCommand('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', target]);
  },
  async bind(source, target) {
    await runCommand('mount', ['--bind', source, target]);
  },
  async unmount(target) {
    try {
      await runCommand('umount', ['--', target]);
    } catch (error) {
      if (error instanceof CommandError && /not mounted|no mount point|not found/i.test(error.stderr)) return;
      // Somebody still has a file open there: it goes when they close it.
      await runCommand('umount', ['--lazy', '--', target]);
    }
  },
  async below(directory) {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
    return mounts
      .split('\n')
      .map((line) => unescapeMount(line.split(' ')[4] ?? ''))
      .filter((path) => path === directory || path.startsWith(`${directory}/`))
      .reverse();
  },
};

/** The kernel writes blanks in paths as `\040`. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
