import { CommandError, errorMessage } from '@k8ts/base';
import type { Logger, RunCommand } from '@k8ts/base';

import { canonicalAddress } from '../address.ts';
import type { IpFamily } from '../address.ts';
import type { ServicePlan } from './contract.ts';

/** One UDP flow that the kernel remembers. */
export interface UdpFlow {
  readonly destination: string;
  readonly destinationPort: number;
  /** Who answers it: the endpoint it was translated to. */
  readonly replySource: string;
}

/**
 * UDP has no end of a connection: a client that keeps its port would be sent to an endpoint that is gone for as long as it
 * keeps asking, or not at all when it first asked before there was one. Flows to a Service that lead to anything but an
 * endpoint that serves are deleted, as upstream does (pkg/proxy/conntrack/cleanup.go). Needs the program `conntrack`;
 * without it such clients recover when their flow times out (30 seconds after their last packet).
 */
export async function deleteStaleUdpFlows(
  run: RunCommand,
  family: IpFamily,
  plans: Iterable<ServicePlan>,
  logger: Logger,
): Promise<void> {
  const services = udpServices(plans);
  if (services.byAddress.size + services.byNodePort.size === 0) return;
  const familyName = family === 'IPv4' ? 'ipv4' : 'ipv6';
  try {
    const flows = parseFlows(await run('conntrack', ['-L', '-f', familyName, '-p', 'udp']));
    for (const flow of staleFlows(flows, services)) {
      const { destination, destinationPort, replySource } = flow;
      const filter = [
        '--orig-dst',
        destination,
        '--orig-port-dst',
        `${destinationPort}`,
        '--reply-src',
        replySource,
      ];
      await run('conntrack', ['-D', '-f', familyName, '-p', 'udp', ...filter]).catch(ignoreNoneFound);
    }
  } catch (error) {
    logger.warn('Failed to clear stale conntrack entries', { family, error: errorMessage(error) });
  }
}

interface UdpServices {
  /** `10.96.0.10 53` → addresses that serve. */
  readonly byAddress: ReadonlyMap<string, readonly string[]>;
  readonly byNodePort: ReadonlyMap<number, readonly string[]>;
}

/** Services without any endpoint are left out: their flows are refused anyway. */
function udpServices(plans: Iterable<ServicePlan>): UdpServices {
  const byAddress = new Map<string, readonly string[]>();
  const byNodePort = new Map<number, readonly string[]>();
  for (const { ports } of plans) {
    for (const { protocol, clusterIp, externalIps, loadBalancerIps, port, nodePort, endpoints } of ports) {
      if (protocol !== 'udp' || endpoints.servingIps.length === 0) continue;
      for (const ip of [clusterIp, ...externalIps, ...loadBalancerIps]) {
        byAddress.set(`${ip} ${port}`, endpoints.servingIps);
      }
      if (nodePort !== 0) byNodePort.set(nodePort, endpoints.servingIps);
    }
  }
  return { byAddress, byNodePort };
}

/** Each different one once. */
function staleFlows(flows: readonly UdpFlow[], services: UdpServices): readonly UdpFlow[] {
  const stale = new Map<string, UdpFlow>();
  for (const flow of flows) {
    const { destination, destinationPort, replySource } = flow;
    const serving =
      services.byAddress.get(`${destination} ${destinationPort}`) ?? services.byNodePort.get(destinationPort);
    if (serving === undefined || serving.includes(replySource)) continue;
    stale.set(`${destination} ${destinationPort} ${replySource}`, flow);
  }
  return [...stale.values()];
}

/** `udp 17 29 src=10.0.0.1 dst=10.96.0.10 sport=5 dport=53 src=10.244.0.5 dst=10.0.0.1 sport=53 dport=5 mark=0 use=1` */
export function parseFlows(output: string): readonly UdpFlow[] {
  const flows: UdpFlow[] = [];
  for (const line of output.split('\n')) {
    const values = (name: string): string[] =>
      [...line.matchAll(new RegExp(`\\b${name}=(\\S+)`, 'g'))].map((match) => match[1] ?? '');
    const destination = canonicalAddress(values('dst')[0] ?? '');
    const replySource = canonicalAddress(values('src')[1] ?? '');
    const destinationPort = Number(values('dport')[0]);
    if (destination === undefined || replySource === undefined || !Number.isInteger(destinationPort))
      continue;
    flows.push({ destination, destinationPort, replySource });
  }
  return flows;
}

/** The flow ended by itself meanwhile. */
function ignoreNoneFound(error: unknown): string {
  if (error instanceof CommandError && error.stderr.includes('0 flow entries have been deleted')) return '';
  throw error;
}
