import { type Clock, errorMessage, sleep } from '@k8ts/base';
import type { RuntimeService } from '@k8ts/cri';

import { withDeadline } from '../deadline.ts';
import { type HttpFetch, httpTarget } from '../probes/http-target.ts';
import { podIps, type PodRuntimeState } from './runtime-state.ts';
import type { Container, LifecycleHandler, Pod } from './types.ts';

export interface LifecycleRunner {
  /** Runs a postStart or preStop handler of a running container to its end; throws when it fails. */
  run(hook: HookRun): Promise<void>;
}

interface HookRun {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly handler: LifecycleHandler;
  readonly state: PodRuntimeState;
  readonly hostIps: readonly string[];
  /** Seconds; 0 means no limit. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

export interface LifecycleRunnerOptions {
  readonly runtime: RuntimeService;
  readonly clock: Clock;
  readonly fetch: HttpFetch;
}

/** pkg/kubelet/lifecycle/handlers.go. */
export function createLifecycleRunner({ runtime, clock, fetch }: LifecycleRunnerOptions): LifecycleRunner {
  return {
    async run({ pod, container, containerId, handler, state, hostIps, timeout, signal }) {
      if (handler.exec !== undefined) {
        const command = handler.exec.command ?? [];
        const described = `Exec lifecycle hook (${JSON.stringify(command)}) for Container "${container.name}" in Pod "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})" failed`;
        let output: { exitCode: number; stdout: Buffer; stderr: Buffer };
        try {
          output = await runtime.execSync(containerId, command, timeout);
        } catch (error) {
          throw new Error(`${described} - error: ${errorMessage(error)}, message: ""`, { cause: error });
        }
        if (output.exitCode !== 0) {
          const message = Buffer.concat([output.stdout, output.stderr]).toString('utf8');
          throw new Error(
            `${described} - error: command '${command.join(' ')}' exited with ${output.exitCode}: ${message}, message: ${JSON.stringify(message)}`,
          );
        }
        return;
      }
      if (handler.httpGet !== undefined) {
        const target = httpTarget(handler.httpGet, container, podIps(state)[0] ?? hostIps[0] ?? '');
        await withDeadline(clock, timeout * 1000, signal, (limited) =>
          fetch({ ...target, userAgent: 'kube-lifecycle', signal: limited }),
        );
        return;
      }
      if (handler.sleep !== undefined) {
        const seconds = handler.sleep.seconds ?? 0;
        await sleep(clock, (timeout > 0 ? Math.min(seconds, timeout) : seconds) * 1000, signal);
        return;
      }
      throw new Error('invalid handler: no action given');
    },
  };
}
