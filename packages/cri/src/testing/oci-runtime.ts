import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realClock, silentLogger, sleep } from '@k8ts/base';
import type { Logger } from '@k8ts/base';
import { importImageArchive } from '../images/import-archive.ts';
import { buildBusyboxArchive } from './busybox-image.ts';
import { loopbackNetwork } from './loopback-network.ts';
import { openOciRuntime } from '../runtimes/oci/open.ts';
import type { EmbeddedRuntime, OciRuntimeOptions } from '../runtimes/oci/open.ts';

/** A real runtime in a directory of its own, with the busybox image; everything is gone on dispose. */
export interface TestOciRuntime extends AsyncDisposable {
  readonly runtime: EmbeddedRuntime;
  readonly directory: string;
  readonly network: ReturnType<typeof loopbackNetwork>;
  /** Opens the same directories anew, as after a restart. */
  reopen(): Promise<EmbeddedRuntime>;
  readLog(id: string): Promise<string>;
  until(condition: () => Promise<boolean> | boolean): Promise<void>;
}

export async function openTestRuntime(
  overrides: Partial<OciRuntimeOptions> = {},
  logger: Logger = silentLogger,
): Promise<TestOciRuntime> {
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-oci-'));
  const network = loopbackNetwork();
  const open = (): Promise<EmbeddedRuntime> =>
    openOciRuntime({
      dataDir: join(directory, 'data'),
      runDir: join(directory, 'run'),
      network,
      clock: realClock,
      logger,
      ...overrides,
    });
  let runtime = await open();
  const archive = join(directory, 'busybox.tar');
  await buildBusyboxArchive(archive);
  await importImageArchive(runtime.images, archive);
  await rm(archive);
  return {
    get runtime() {
      return runtime;
    },
    directory,
    network,
    async reopen() {
      await runtime[Symbol.asyncDispose]();
      runtime = await open();
      return runtime;
    },
    readLog: async (id) => readFile((await runtime.runtimeService.containerStatus(id)).logPath, 'utf8'),
    async until(condition) {
      const deadline = realClock.monotonic() + 20_000;
      while (!(await condition())) {
        if (realClock.monotonic() > deadline) throw new Error('condition does not hold after 20 s');
        await sleep(realClock, 5);
      }
    },
    async [Symbol.asyncDispose]() {
      const sandboxes = await runtime.runtimeService.listPodSandboxes();
      await runtime.destroyAll();
      for (const { id } of sandboxes) {
        const left = await cgroupsNamed(id);
        if (left.length > 0) throw new Error(`control groups are left: ${left.join(', ')}`);
      }
      await runtime[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

/** What a log says without the heads of its records; partial ones are joined. */
export function logText(log: string): string {
  return log
    .split('\n')
    .map((line) => {
      const [, tag, text] = /^\S+ std(?:out|err) ([PF]) (.*)$/.exec(line) ?? [];
      return (text ?? '') + (tag === 'F' ? '\n' : '');
    })
    .join('');
}

/** Control groups of pods for which nobody made one, in whatever tree. */
async function cgroupsNamed(id: string): Promise<readonly string[]> {
  const root = '/sys/fs/cgroup';
  const candidates = [join(root, 'k8ts', id)];
  for (const tree of await readdir(root)) candidates.push(join(root, tree, 'k8ts', id));
  const found = await Promise.all(
    candidates.map((path) =>
      stat(path).then(
        () => path,
        () => undefined,
      ),
    ),
  );
  return found.filter((path) => path !== undefined);
}
