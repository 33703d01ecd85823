import { rm } from 'node:fs/promises';
import { errorMessage } from '@k8ts/base';
import type { PodNetworkRequest, PodSandboxConfig } from '../../contract.ts';
import { removeCgroup } from './cgroups.ts';
import { killBelow, killContainer, removeContainer } from './containers.ts';
import type { Engine } from './engine.ts';
import { sandboxPaths } from './layout.ts';
import { signalProcess } from './records.ts';
import type { SandboxRecord } from './records.ts';
import { setUpSandbox, tearDownSandbox } from './sandbox-setup.ts';

const SIGKILL = 9;
/** Below it are the pods for which nobody made a control group. */
export const OWN_CGROUPS: string = '/k8ts';

/** Makes a pod's sandbox with its namespaces and network, and resolves to its id. What was made goes again when it throws. */
export async function runSandbox(
  engine: Engine,
  config: PodSandboxConfig,
  runtimeHandler: string,
): Promise<string> {
  if (runtimeHandler !== '') {
    throw new Error(`no runtime for ${JSON.stringify(runtimeHandler)} is configured`);
  }
  const notReady = config.linux.namespaces.network === 'NODE' ? undefined : engine.network.notReadyReason();
  if (notReady !== undefined) throw new Error(`network is not ready: ${notReady}`);
  const id = engine.newId();
  const paths = sandboxPaths(engine.layout, id);
  const sandbox: SandboxRecord = {
    version: 1,
    id,
    config,
    runtimeHandler,
    createdAt: engine.clock.now(),
    state: 'SANDBOX_READY',
    ips: [],
    networked: false,
    pause: undefined,
    cgroup: config.linux.cgroupParent || `${OWN_CGROUPS}/${id}`,
  };
  try {
    const { pause } = await setUpSandbox(engine.clock, config, paths);
    sandbox.pause = pause;
    if (config.linux.namespaces.network !== 'NODE') {
      // Saved first: killed while the network is being made, the next start knows that there is one to take back.
      sandbox.networked = true;
      await engine.saveSandbox(sandbox);
      sandbox.ips = (await engine.network.setUp(networkRequest(engine, sandbox))).ips;
    }
    await engine.saveSandbox(sandbox);
  } catch (error) {
    await dismantle(engine, sandbox).catch((failure: unknown) =>
      engine.logger.error('cannot clean up after a failed sandbox', { id, error: errorMessage(failure) }),
    );
    await rm(paths.state, { recursive: true, force: true });
    throw error;
  }
  engine.sandboxes.set(id, sandbox);
  return id;
}

export async function stopSandbox(engine: Engine, id: string): Promise<void> {
  const sandbox = engine.sandboxes.get(id);
  if (sandbox === undefined) return;
  const stopped = sandbox.state === 'SANDBOX_NOTREADY' && !sandbox.networked;
  // First, so that nothing starts in it any more; then what is on its way to running gets there and is killed.
  sandbox.state = 'SANDBOX_NOTREADY';
  await Promise.all(
    engine.containersOf(id).map(async (container) => {
      await engine.exclusive(container.id, () => Promise.resolve());
      await killContainer(engine, container.id);
    }),
  );
  if (stopped) return;
  await dismantle(engine, sandbox);
  await engine.saveSandbox(sandbox);
}

export async function removeSandbox(engine: Engine, id: string): Promise<void> {
  const sandbox = engine.sandboxes.get(id);
  if (sandbox === undefined) return;
  await stopSandbox(engine, id);
  for (const container of engine.containersOf(id)) await removeContainer(engine, container.id);
  if (sandbox.config.linux.cgroupParent === '') {
    await removeCgroup(engine.clock, engine.host.cgroups, sandbox.cgroup);
  }
  engine.sandboxes.delete(id);
  await rm(sandboxPaths(engine.layout, id).state, { recursive: true, force: true });
}

/** Gives back network, processes, namespaces and mounts; what is gone already is fine. */
async function dismantle(engine: Engine, sandbox: SandboxRecord): Promise<void> {
  // Also what a kill of ours left half started. A group that we were given may hold others' processes.
  if (sandbox.config.linux.cgroupParent === '') await killBelow(engine, sandbox.cgroup);
  await signalProcess(sandbox.pause, SIGKILL);
  sandbox.pause = undefined;
  if (sandbox.networked) {
    await engine.network.tearDown(networkRequest(engine, sandbox));
    sandbox.networked = false;
  }
  await tearDownSandbox(sandboxPaths(engine.layout, sandbox.id));
}

function networkRequest(engine: Engine, sandbox: SandboxRecord): PodNetworkRequest {
  const { metadata, portMappings } = sandbox.config;
  return {
    sandboxId: sandbox.id,
    netns: sandboxPaths(engine.layout, sandbox.id).net,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    portMappings,
  };
}
