/** Upstream's kube-apiserver over etcd, to measure beside ours, where both programs are on the PATH. */
import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface UpstreamServer {
  readonly child: ChildProcess;
  readonly port: number;
  stop(): Promise<void>;
}

const READY_WITHIN = 60_000;

/** The program that is missing for a comparison, if one is. */
export function missingForUpstream(): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  return ['etcd', 'kube-apiserver'].find(
    (program) => !directories.some((directory) => existsSync(join(directory, program))),
  );
}

/** Its files go to `directory`. Requests with the token `bench` may do everything. */
export async function startUpstream(directory: string): Promise<UpstreamServer> {
  const [etcdPort, peerPort, port] = await freePorts();
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = spawn(
    'etcd',
    [
      `--data-dir=${join(directory, 'etcd')}`,
      '--name=bench',
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=bench=${peerUrl}`,
    ],
    { stdio: 'ignore' },
  );
  const key = join(directory, 'service-account.key');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(key, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  const tokens = join(directory, 'tokens.csv');
  writeFileSync(tokens, 'bench,bench,1,"system:masters"\n', { mode: 0o600 });
  const child = spawn(
    'kube-apiserver',
    [
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${join(directory, 'certificates')}`,
      `--token-auth-file=${tokens}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.96.0.0/12',
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-signing-key-file=${key}`,
      `--service-account-key-file=${key}`,
    ],
    { stdio: 'ignore' },
  );
  const stop = async (): Promise<void> => {
    for (const process of [child, etcd]) {
      if (process.exitCode !== null || process.signalCode !== null) continue;
      process.kill('SIGTERM');
      await once(process, 'exit');
    }
  };
  try {
    await untilReady(child, port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { child, port, stop };
}

async function untilReady(child: ChildProcess, port: number): Promise<void> {
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  for (const started = performance.now(); performance.now() - started < READY_WITHIN; await sleep(100)) {
    if (child.exitCode !== null) throw new Error(`kube-apiserver ended with ${child.exitCode}`);
    const isReady = await fetch(`https://127.0.0.1:${port}/readyz`, {
      headers: { authorization: 'Bearer bench' },
    }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return;
  }
  throw new Error(`kube-apiserver was not ready after ${READY_WITHIN / 1_000} s`);
}

async function freePorts(): Promise<[number, number, number]> {
  const servers = [createServer(), createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) server.close();
  return ports as [number, number, number];
}
