import type { CancelTimer } from '@k8ts/base';
import type { Container, ContainerConfig, PodSandbox, PodSandboxConfig } from '../../contract.ts';
import { formatLogLine } from '../../logs/cri-log.ts';
import type { SimulatedBehaviour } from './behaviour.ts';

/**
 * One simulated sandbox. Costs a few hundred bytes beside the configuration, which is the kubelet's own object; 150,000
 * of them fit in a process. `snapshot` is immutable and replaced on every change, so that lists hand out shared objects.
 */
export interface SimulatedSandbox {
  snapshot: PodSandbox;
  readonly config: PodSandboxConfig;
  /** Empty on the node's network. */
  readonly ip: string;
  readonly containers: SimulatedContainer[];
}

export interface SimulatedContainer {
  snapshot: Container;
  /** Replaced when resources are updated. */
  config: ContainerConfig;
  readonly sandbox: SimulatedSandbox;
  readonly behaviour: SimulatedBehaviour;
  startedAt: number;
  finishedAt: number;
  exitCode: number;
  signal: number;
  reason: string;
  message: string;
  /** What a command has said of it; undefined: its age decides. */
  ready: boolean | undefined;
  /** The exit that is to come by itself or after a stop signal. */
  cancelExit: CancelTimer | undefined;
  /** Those who wait for the end, or for the next line of the log. */
  waiters: (() => void)[] | undefined;
}

/** How many past lines of a repeating log are kept, as a log rotation would. */
const KEPT_REPEATED_LINES = 10_000;

/**
 * The log at a time: nothing is stored, the lines follow from the behaviour. `from` skips so many lines; returns the
 * lines since and the number of the next one.
 */
export function simulatedLog(
  container: SimulatedContainer,
  now: number,
  from = 0,
): { readonly lines: string[]; readonly next: number } {
  if (container.startedAt === 0) return { lines: [], next: from };
  const { log, logEvery } = container.behaviour;
  const lines: string[] = [];
  const first = log ?? [];
  for (let index = from; index < first.length; index++) {
    lines.push(formatLogLine(container.startedAt, 'stdout', first[index] ?? ''));
  }
  let next = Math.max(from, first.length);
  if (logEvery) {
    const until = container.finishedAt === 0 ? now : container.finishedAt;
    const interval = logEvery.seconds * 1000;
    const total = Math.floor((until - container.startedAt) / interval);
    let repetition = next - first.length;
    if (from === 0) repetition = Math.max(repetition, total - KEPT_REPEATED_LINES);
    for (; repetition < total; repetition++) {
      lines.push(formatLogLine(container.startedAt + (repetition + 1) * interval, 'stdout', logEvery.line));
    }
    next = first.length + Math.max(repetition, next - first.length);
  }
  return { lines, next };
}

/** When the next line after now will come; undefined: never. */
export function nextLogTime(container: SimulatedContainer, now: number): number | undefined {
  const { logEvery } = container.behaviour;
  if (!logEvery || container.startedAt === 0) return undefined;
  const interval = logEvery.seconds * 1000;
  return container.startedAt + (Math.floor((now - container.startedAt) / interval) + 1) * interval;
}
