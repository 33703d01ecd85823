import { join } from 'node:path';
import { realClock, silentLogger } from '@k8ts/base';
import { BUSYBOX_IMAGE } from './busybox-image.ts';
import { loopbackNetwork } from './loopback-network.ts';
import { testContainerConfig, testSandboxConfig } from './pod-configs.ts';
import { openOciRuntime } from '../runtimes/oci/open.ts';

/** A process for `recovery.isolated.ts` to kill: it starts pods without end in the directory that it is given. */
const directory = process.argv[2] as string;
const runtime = await openOciRuntime({
  dataDir: join(directory, 'data'),
  runDir: join(directory, 'run'),
  network: loopbackNetwork(),
  clock: realClock,
  logger: silentLogger,
});
const { runtimeService } = runtime;
for (let pod = 0; ; pod++) {
  const sandbox = testSandboxConfig(`victim-${process.pid}-${pod}`);
  const sandboxId = await runtimeService.runPodSandbox(sandbox);
  const config = testContainerConfig('main', BUSYBOX_IMAGE, {
    command: ['sh', '-c', 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.02; done'],
  });
  const id = await runtimeService.createContainer(sandboxId, config, sandbox);
  await runtimeService.startContainer(id);
  process.stdout.write(`${id}\n`);
}
