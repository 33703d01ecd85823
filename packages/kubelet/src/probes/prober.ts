import type { Clock } from '@k8ts/base';
import { ExecTimeoutError, type ProbeSource, type RuntimeService } from '@k8ts/cri';

import { DeadlineError, withDeadline } from '../deadline.ts';
import { dial } from './dial.ts';
import { dialError } from './dial-error.ts';
import { grpcHealth } from './grpc-health.ts';
import {
  type HttpAnswer,
  type HttpFetch,
  httpTarget,
  type HttpTarget,
  resolvePort,
  targetUrl,
} from './http-target.ts';
import type { ProbeOutcome, Prober, ProbeRequest } from './probe-manager.ts';

export interface ProberOptions {
  readonly clock: Clock;
  readonly runtime: RuntimeService;
  readonly fetch: HttpFetch;
}

const USER_AGENT = 'kube-probe/1.36';
/** Of a probe's output, what goes into events. */
const OUTPUT_LIMIT = 10 * 1024;
const MAXIMUM_REDIRECTS = 10;

/** Probes by exec, HTTP, TCP and gRPC (pkg/kubelet/prober/prober.go, pkg/probe). */
export function createProber(options: ProberOptions): Prober {
  return async (request) => {
    const { probe, container } = request;
    if (probe.exec !== undefined) return probeExec(options, request);
    if (probe.httpGet !== undefined)
      return probeHttp(options, request, httpTarget(probe.httpGet, container, request.podIp));
    const timeout = timeoutOf(request);
    if (probe.tcpSocket !== undefined) {
      const host = probe.tcpSocket.host ? probe.tcpSocket.host : request.podIp;
      return probeTcp(
        options.clock,
        host,
        resolvePort(probe.tcpSocket.port, container),
        timeout,
        request.signal,
      );
    }
    if (probe.grpc !== undefined)
      return grpcHealth(
        options.clock,
        request.podIp,
        probe.grpc.port,
        probe.grpc.service ?? '',
        timeout,
        USER_AGENT,
        request.signal,
      );
    throw new Error(`missing probe handler for ${request.pod.metadata.namespace}:${container.name}`);
  };
}

/** A runtime without a network answers for its containers. */
export function createSourceProber(source: ProbeSource): Prober {
  return async ({ containerId, purpose }) => {
    const { success, output } = await source.probe(containerId, purpose);
    return { verdict: success ? 'Success' : 'Failure', output };
  };
}

function timeoutOf({ probe }: ProbeRequest): number {
  return (probe.timeoutSeconds ?? 1) * 1000;
}

async function probeExec({ runtime }: ProberOptions, request: ProbeRequest): Promise<ProbeOutcome> {
  const command = request.probe.exec?.command ?? [];
  try {
    const { exitCode, stdout, stderr } = await runtime.execSync(
      request.containerId,
      command,
      request.probe.timeoutSeconds ?? 1,
    );
    const output = Buffer.concat([stdout, stderr]).toString('utf8', 0, OUTPUT_LIMIT);
    return { verdict: exitCode === 0 ? 'Success' : 'Failure', output };
  } catch (error) {
    if (error instanceof ExecTimeoutError) return { verdict: 'Failure', output: error.message };
    throw error;
  }
}

async function probeHttp(
  { clock, fetch }: ProberOptions,
  request: ProbeRequest,
  target: HttpTarget,
): Promise<ProbeOutcome> {
  let current = target;
  try {
    const answer = await withDeadline(clock, timeoutOf(request), request.signal, async (signal) => {
      for (let redirects = 0; ; redirects++) {
        const answer = await fetch({ ...current, userAgent: USER_AGENT, signal });
        const next = redirectTarget(current, answer);
        if (next === undefined) return answer;
        // To another host the probe does not go: what it would find there says nothing of this container.
        if (next.host !== target.host) return undefined;
        if (redirects >= MAXIMUM_REDIRECTS) throw new Error(`stopped after ${MAXIMUM_REDIRECTS} redirects`);
        current = next;
      }
    });
    if (answer === undefined) return { verdict: 'Warning', output: 'Probe terminated redirects' };
    const passed = answer.status >= 200 && answer.status < 400;
    return passed
      ? { verdict: 'Success', output: answer.body }
      : { verdict: 'Failure', output: `HTTP probe failed with statuscode: ${answer.status}` };
  } catch (error) {
    const why =
      error instanceof DeadlineError
        ? `${error.message} (Client.Timeout exceeded while awaiting headers)`
        : dialError(error, current.host, current.port);
    return { verdict: 'Failure', output: `Get "${targetUrl(current)}": ${why}` };
  }
}

function redirectTarget(from: HttpTarget, { status, location }: HttpAnswer): HttpTarget | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return undefined;
  let url: URL;
  try {
    url = new URL(location, targetUrl(from));
  } catch {
    return undefined;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  return {
    scheme,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (scheme === 'https' ? 443 : 80) : Number(url.port),
    path: `${url.pathname}${url.search}`,
    headers: from.headers,
  };
}

async function probeTcp(
  clock: Clock,
  host: string,
  port: number,
  timeout: number,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  try {
    await dial(clock, host, port, timeout, signal);
    return { verdict: 'Success', output: '' };
  } catch (error) {
    const output =
      error instanceof DeadlineError
        ? `dial tcp ${host.includes(':') ? `[${host}]` : host}:${port}: i/o timeout`
        : dialError(error, host, port);
    return { verdict: 'Failure', output };
  }
}
