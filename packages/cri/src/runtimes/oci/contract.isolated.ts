import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { describeRuntimeContract } from '../../testing/runtime-contract.ts';
import type { Workload } from '../../testing/runtime-contract.ts';
import { describe } from 'vitest';
import { findProgram } from './host.ts';
import { openTestRuntime } from '../../testing/oci-runtime.ts';

const SCRIPTS: Readonly<Record<Workload, string>> = {
  runs: 'trap "exit 0" TERM; echo ready; while :; do sleep 1000 & wait $!; done',
  'ignores-stop': 'trap "" TERM; echo ready; while :; do sleep 1000; done',
  completes: 'exit 0',
  fails: 'exit 3',
  writes: 'echo first; echo second; exec sleep 1000',
};

const VARIANTS = {
  crun: { program: 'crun' },
  'crun on copied root file systems': { program: 'crun', copyRootfs: true },
  runc: { program: 'runc' },
  'util-linux': { program: 'util-linux' },
} as const;

for (const [variant, options] of Object.entries(VARIANTS)) {
  if (options.program !== 'util-linux' && (await findProgram(options.program)) === undefined) {
    describe.skip(`runtime contract: oci, by ${variant} (${options.program} is not installed)`, () =>
      undefined);
    continue;
  }
  describeRuntimeContract(`oci, by ${variant}`, async () => {
    const subject = await openTestRuntime(options);
    return {
      runtime: subject.runtime,
      image: BUSYBOX_IMAGE,
      workload: (workload) => ({ container: { command: ['sh', '-c', SCRIPTS[workload]] } }),
      async untilReady(id, workload) {
        if (!SCRIPTS[workload].includes('ready')) return;
        await subject.until(async () => (await subject.readLog(id)).includes('ready'));
      },
      readLog: (id) => subject.readLog(id),
      until: (condition) => subject.until(condition),
      [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
    };
  });
}
