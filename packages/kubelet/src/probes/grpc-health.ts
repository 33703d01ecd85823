import type { Clock } from '@k8ts/base';
import { Client, credentials, Metadata, type ServiceError, status as grpcStatus } from '@grpc/grpc-js';

import { formatDurationMilliseconds } from '@k8ts/apimachinery';
import { dial } from './dial.ts';
import type { ProbeOutcome } from './probe-manager.ts';

const METHOD = '/grpc.health.v1.Health/Check';
const STATUS_WORDS: Readonly<Record<number, string>> = {
  0: 'UNKNOWN',
  1: 'SERVING',
  2: 'NOT_SERVING',
  3: 'SERVICE_UNKNOWN',
};

/** Asks a gRPC server for its health (grpc.health.v1); texts as in pkg/probe/grpc/grpc.go. `timeout` in milliseconds. */
export async function grpcHealth(
  clock: Clock,
  host: string,
  port: number,
  service: string,
  timeout: number,
  userAgent: string,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const deadline = clock.now() + timeout;
  const unconnected = failure(
    `timeout: failed to connect service "${address}" within ${formatDurationMilliseconds(timeout)}: context deadline exceeded`,
  );
  // A gRPC client closed while it connects leaves its socket at it for two minutes, which would keep the kubelet from
  // ending: only where someone listens does it get to connect.
  try {
    await dial(clock, host, port, timeout, signal);
  } catch {
    return unconnected;
  }
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.primary_user_agent': userAgent,
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
  });
  try {
    const connected = await new Promise<boolean>((resolve) =>
      client.waitForReady(deadline, (error) => resolve(error === undefined)),
    );
    if (!connected) return unconnected;
    const reply = await new Promise<number | ServiceError>((resolve) => {
      client.makeUnaryRequest<string, number>(
        METHOD,
        encodeRequest,
        decodeStatus,
        service,
        new Metadata(),
        { deadline },
        (error, value) => resolve(error ?? value ?? 0),
      );
    });
    if (typeof reply === 'number')
      return reply === 1
        ? { verdict: 'Success', output: 'service healthy' }
        : failure(`service unhealthy (responded with "${STATUS_WORDS[reply] ?? String(reply)}")`);
    switch (reply.code) {
      case grpcStatus.UNIMPLEMENTED:
        return failure(
          `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${reply.details}`,
        );
      case grpcStatus.DEADLINE_EXCEEDED:
        return failure(`timeout: health rpc did not complete within ${formatDurationMilliseconds(timeout)}`);
      default:
        return failure(`error: health rpc probe failed: ${reply.message}`);
    }
  } finally {
    client.close();
  }
}

function failure(output: string): ProbeOutcome {
  return { verdict: 'Failure', output };
}

/** `HealthCheckRequest { string service = 1; }` */
function encodeRequest(service: string): Buffer {
  if (service === '') return Buffer.alloc(0);
  const text = Buffer.from(service);
  const length: number[] = [];
  for (let rest = text.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([0x0a, ...length]), text]);
}

/** `HealthCheckResponse { ServingStatus status = 1; }`; other fields are none of ours. */
function decodeStatus(bytes: Buffer): number {
  return bytes.length >= 2 && bytes[0] === 0x08 ? (bytes[1] as number) : 0;
}
