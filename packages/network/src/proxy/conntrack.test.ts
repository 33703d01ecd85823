import { CommandError, silentLogger } from '@k8ts/base';
import { describe, expect, it } from 'vitest';

import { testService, testSlice } from '../testing/service-objects.ts';
import { deleteStaleUdpFlows, parseFlows } from './conntrack.ts';
import type { ServicePlan } from './contract.ts';
import { planService } from './service-plan.ts';

const LISTING = `
udp      17 29 src=10.244.0.9 dst=10.96.0.50 sport=4000 dport=53 src=10.244.0.5 dst=10.244.0.9 sport=5353 dport=4000 mark=0 use=1
udp      17 29 src=10.244.0.9 dst=10.96.0.50 sport=4001 dport=53 src=10.244.0.6 dst=10.244.0.9 sport=5353 dport=4001 mark=0 use=1
udp      17 29 src=192.0.2.2 dst=192.0.2.1 sport=4002 dport=30053 [UNREPLIED] src=10.244.0.6 dst=10.244.0.1 sport=5353 dport=4002 mark=0 use=1
udp      17 29 src=10.244.0.9 dst=192.0.2.9 sport=4003 dport=53 src=192.0.2.9 dst=10.244.0.9 sport=53 dport=4003 mark=0 use=1
conntrack v1.4.7 (conntrack-tools): 4 flow entries have been shown.
`;

function plans(endpoints: readonly string[], protocol = 'UDP'): ServicePlan[] {
  const service = testService('dns', {
    type: 'NodePort',
    ports: [{ port: 53, protocol: protocol as 'UDP', nodePort: 30053 }],
  });
  const slice = testSlice('dns', endpoints, [{ name: '', port: 5353, protocol: protocol as 'UDP' }]);
  const plan = planService(service, [slice], { name: 'here', zone: '' }, 'IPv4');
  return plan === undefined ? [] : [plan];
}

async function deleted(services: ServicePlan[]): Promise<string[]> {
  const commands: string[] = [];
  const run = async (program: string, args: readonly string[]): Promise<string> => {
    commands.push([program, ...args].join(' '));
    if (args[0] === '-L') return LISTING;
    throw new CommandError('conntrack', 1, 'conntrack v1.4.7: 0 flow entries have been deleted.');
  };
  await deleteStaleUdpFlows(run, 'IPv4', services, silentLogger);
  return commands;
}

describe('stale UDP flows', () => {
  it('reads what conntrack lists', () => {
    expect(parseFlows(LISTING)).toHaveLength(4);
    expect(parseFlows('nonsense\nudp src=x dst=y')).toEqual([]);
  });

  it('deletes those that lead to endpoints which do not serve', async () => {
    expect(await deleted(plans(['10.244.0.5']))).toEqual([
      'conntrack -L -f ipv4 -p udp',
      'conntrack -D -f ipv4 -p udp --orig-dst 10.96.0.50 --orig-port-dst 53 --reply-src 10.244.0.6',
      'conntrack -D -f ipv4 -p udp --orig-dst 192.0.2.1 --orig-port-dst 30053 --reply-src 10.244.0.6',
    ]);
  });

  it('asks nothing where no UDP Service has endpoints', async () => {
    expect(await deleted(plans([]))).toEqual([]);
    expect(await deleted(plans(['10.244.0.5'], 'TCP'))).toEqual([]);
  });
});
