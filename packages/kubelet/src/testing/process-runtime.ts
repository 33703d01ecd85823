import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { finished } from 'node:stream/promises';

import type { Clock } from '@k8ts/base';
import { createSimulatedRuntime, type ExecSyncResult, type Runtime, type RuntimeService } from '@k8ts/cri';

/**
 * The simulated runtime, but its commands are processes of this machine and its ports those of the loopback address: for
 * tests of streaming with real clients.
 */
export function createProcessRuntime(clock: Clock): Runtime {
  const simulated = createSimulatedRuntime({ clock });
  const service = simulated.runtimeService;
  const overrides: Partial<RuntimeService> = {
    async exec(_id, { command }, streams, signal) {
      const child = spawn(command[0] as string, command.slice(1), {
        stdio: ['pipe', 'pipe', 'pipe'],
        signal,
      });
      child.on('error', () => undefined);
      if (streams.stdin !== undefined) streams.stdin.pipe(child.stdin);
      else child.stdin.end();
      child.stdin.on('error', () => undefined);
      const output = [
        streams.stdout === undefined ? undefined : child.stdout.pipe(streams.stdout),
        streams.stderr === undefined ? undefined : child.stderr.pipe(streams.stderr),
      ];
      const exitCode = await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (code) => resolve(code ?? 137));
      });
      for (const stream of output) if (stream !== undefined) await finished(stream).catch(() => undefined);
      return { exitCode };
    },
    async execSync(_id, command): Promise<ExecSyncResult> {
      const child = spawn(command[0] as string, command.slice(1));
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      const exitCode = await new Promise<number>((resolve) =>
        child.once('close', (code) => resolve(code ?? 137)),
      );
      return { exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
    },
    async portForward(_id, port, stream, signal) {
      const socket = connect({ host: '127.0.0.1', port, signal, allowHalfOpen: true });
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
      stream.pipe(socket).pipe(stream);
      await Promise.all([
        finished(socket, { writable: false }).catch(() => undefined),
        finished(stream, { writable: false }).catch(() => undefined),
      ]);
      socket.destroy();
    },
  };
  const runtimeService = new Proxy(service, {
    get(target, property) {
      const own = overrides[property as keyof RuntimeService];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, property);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  return { ...simulated, runtimeService };
}
