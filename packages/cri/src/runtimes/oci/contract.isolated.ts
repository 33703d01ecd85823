import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { describeRuntimeContract } from '../../testing/runtime-contract.ts';
import type { Workload } from '../../testing/runtime-contract.ts';
import { openTestRuntime } from './test-runtime.ts';

const SCRIPTS: Readonly<Record<Workload, string>> = {
  runs: 'trap "exit 0" TERM; echo ready; while :; do sleep 1000 & wait $!; done',
  'ignores-stop': 'trap "" TERM; echo ready; while :; do sleep 1000; done',
  completes: 'exit 0',
  fails: 'exit 3',
  writes: 'echo first; echo second; exec sleep 1000',
};

for (const rootfs of ['overlay', 'copy'] as const) {
  describeRuntimeContract(`oci, root file systems by ${rootfs}`, async () => {
    const subject = await openTestRuntime({ copyRootfs: rootfs === 'copy' });
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
