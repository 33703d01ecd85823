import type { Clock, Logger } from '@k8ts/base';

import { podUid, specContainers } from '../pod/pod-spec.ts';
import { spdyPortForward, tunneledPortForward, type PortForwardOptions } from '../streaming/port-forward.ts';
import { type RemoteCommandOptions, runRemoteCommand } from '../streaming/remote-command.ts';
import { spdyRemoteCommand } from '../streaming/spdy/spdy-remote-command.ts';
import { isSpdyUpgrade, isWebSocketUpgrade, type UpgradeRequest } from '../streaming/upgrade.ts';
import { webSocketRemoteCommand } from '../streaming/websocket/websocket-remote-command.ts';
import { ServerError } from './find-container.ts';
import type { ContainerTarget, PodTarget, Route } from './routes.ts';
import type { ServedNodes } from './served-nodes.ts';

export interface StreamContext {
  readonly nodes: ServedNodes;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends all streams. */
  readonly signal: AbortSignal;
}

/** Commands, attaching and port forwarding, over SPDY or WebSocket. Throws ServerError before anything was answered. */
export async function serveStreams(
  upgrade: UpgradeRequest,
  target: Route,
  query: URLSearchParams,
  context: StreamContext,
): Promise<void> {
  const spdy = isSpdyUpgrade(upgrade.request);
  if (!spdy && !isWebSocketUpgrade(upgrade.request)) throw new ServerError(400, 'Upgrade request required');
  switch (target.kind) {
    case 'exec':
    case 'attach':
      return remoteCommand(upgrade, target.kind, target, query, spdy, context);
    case 'portForward':
      return portForward(upgrade, target, spdy, context);
    default:
      throw new ServerError(400, 'this path has no streams');
  }
}

async function remoteCommand(
  upgrade: UpgradeRequest,
  kind: 'exec' | 'attach',
  target: ContainerTarget,
  query: URLSearchParams,
  spdy: boolean,
  context: StreamContext,
): Promise<void> {
  const { node, pod, status } = await context.nodes.container(target);
  const spec = specContainers(pod).find(({ container }) => container.name === target.container)?.container;
  const asked = streamOptions(query);
  // Whether a running process has a terminal was decided at its start.
  const tty = kind === 'attach' ? spec?.tty === true : asked.tty;
  const command = query.getAll('command');
  const wanted = { ...asked, tty, stderr: asked.stderr && !tty };
  const session = spdy
    ? await spdyRemoteCommand(upgrade, wanted, context.clock)
    : await webSocketRemoteCommand(upgrade, wanted);
  if (session === undefined) return;
  const { runtimeService } = node.runtime;
  const signal = AbortSignal.any([session.signal, context.signal]);
  await runRemoteCommand(session, command, async (streams) => {
    if (kind === 'exec') return runtimeService.exec(status.id, { command, tty }, streams, signal);
    await runtimeService.attach(status.id, { tty }, streams, signal);
    return undefined;
  });
}

async function portForward(
  upgrade: UpgradeRequest,
  target: PodTarget,
  spdy: boolean,
  context: StreamContext,
): Promise<void> {
  const { node, pod } = context.nodes.pod(target);
  const { sandboxes } = await node.state(podUid(pod));
  const sandbox = sandboxes.find(({ state }) => state === 'SANDBOX_READY');
  if (sandbox === undefined)
    throw new ServerError(500, `pod not found ("${target.pod}_${target.namespace}")`);
  const forwarding: PortForwardOptions = {
    clock: context.clock,
    logger: context.logger,
    pod: sandbox.id,
    uid: podUid(pod),
    forward: (port, stream, signal) =>
      node.runtime.runtimeService.portForward(
        sandbox.id,
        port,
        stream,
        AbortSignal.any([signal, context.signal]),
      ),
  };
  await (spdy ? spdyPortForward(upgrade, forwarding) : tunneledPortForward(upgrade, forwarding));
}

/** The kubelet's own names of the parameters, or those of the API. */
function streamOptions(query: URLSearchParams): RemoteCommandOptions {
  const flag = (...names: string[]): boolean =>
    names.some((name) => ['1', 'true'].includes(query.get(name) ?? ''));
  const wanted = {
    stdin: flag('input', 'stdin'),
    stdout: flag('output', 'stdout'),
    stderr: flag('error', 'stderr'),
    tty: flag('tty'),
  };
  if (!wanted.stdin && !wanted.stdout && !wanted.stderr)
    throw new ServerError(400, 'you must specify at least 1 of stdin, stdout, stderr');
  return wanted;
}
