import type { PortMapping } from '@k8ts/cri';
import { describe, expect, it } from 'vitest';

import { parseCidr } from '../address.ts';
import type { Cidr } from '../address.ts';
import { bridgeTable, hostPortElements } from './bridge-rules.ts';
import {
  bridgeCommands,
  hardwareAddress,
  hostCommands,
  hostInterfaceName,
  podCommands,
} from './link-commands.ts';

const cidrs = (...texts: string[]): Cidr[] => texts.flatMap((text) => parseCidr(text) ?? []);
const mapping = (more: Partial<PortMapping>): PortMapping => ({
  protocol: 'TCP',
  containerPort: 8080,
  hostPort: 80,
  hostIp: '',
  ...more,
});

describe('the packet filter of a bridge', () => {
  it('masquerades what leaves the cluster, naming no range twice', () => {
    const options = {
      bridge: 'k8ts0',
      podCidrs: cidrs('10.244.0.0/24'),
      clusterCidrs: cidrs('10.244.0.0/16', 'fd00::/48'),
    };
    const table = bridgeTable(options, []);
    expect(table).toContain(
      'oifname != "k8ts0" ip saddr 10.244.0.0/24 ip daddr != { 10.244.0.0/16, 224.0.0.0/4 } masquerade fully-random',
    );
    expect(table).not.toContain('ip6 saddr');
    expect(table.startsWith('add table inet k8ts0\ndelete table inet k8ts0\ntable inet k8ts0 {\n')).toBe(
      true,
    );
  });

  it.each<[string, Partial<PortMapping>, string[]]>([
    [
      'on all addresses',
      {},
      ['host-ports-4 { tcp . 80 : 10.244.0.5 . 8080 }', 'hairpins-4 { 10.244.0.5 . 10.244.0.5 }'],
    ],
    [
      'on all addresses, said explicitly',
      { hostIp: '0.0.0.0', protocol: 'UDP' },
      ['host-ports-4 { udp . 80 : 10.244.0.5 . 8080 }', 'hairpins-4 { 10.244.0.5 . 10.244.0.5 }'],
    ],
    [
      'on one address',
      { hostIp: '127.0.0.1', protocol: 'SCTP' },
      [
        'host-ip-ports-4 { 127.0.0.1 . sctp . 80 : 10.244.0.5 . 8080 }',
        'hairpins-4 { 10.244.0.5 . 10.244.0.5 }',
      ],
    ],
    ['on an address of another family', { hostIp: 'fd00::1' }, []],
    ['none', { hostPort: 0 }, []],
  ])('host port %s', (_what, more, expected) => {
    const pod = { ips: ['10.244.0.5'], portMappings: [mapping(more)] };
    expect(hostPortElements('k8ts0', pod, 'add')).toEqual(
      expected.map((line) => `add element inet k8ts0 ${line}`),
    );
  });

  it('takes no text for an address that is none', () => {
    const pod = { ips: ['10.244.0.5'], portMappings: [mapping({ hostIp: '1.2.3.4 }\nflush ruleset' })] };
    expect(() => hostPortElements('k8ts0', pod, 'add')).toThrow('invalid host IP');
  });
});

describe('the commands for interfaces', () => {
  it('names interfaces within 15 characters, differently on different bridges', () => {
    const name = hostInterfaceName('k8ts0', 'abc');
    expect(name).toMatch(/^veth[0-9a-f]{8}$/);
    expect(hostInterfaceName('k8ts0', 'abc')).toBe(name);
    expect(hostInterfaceName('k8ts1', 'abc')).not.toBe(name);
  });

  it.each([
    [['10.244.0.5'], '0a:58:0a:f4:00:05'],
    [['fd00::5', '192.168.255.1'], '0a:58:c0:a8:ff:01'],
    [['fd00::1:2:3'], '0a:58:00:02:00:03'],
  ])('the hardware address of %j is %s', (ips, address) => {
    expect(hardwareAddress(ips)).toBe(address);
  });

  it('makes a pod of both families', () => {
    const link = {
      bridge: 'k8ts0',
      interfaceName: 'veth1',
      netns: '/run/netns/x',
      ips: ['10.244.0.5', 'fd00::5'],
      gateways: ['10.244.0.1', 'fd00::1'],
      mtu: 1400,
    };
    expect(hostCommands(link).split('\n')[0]).toBe(
      'link add name veth1 mtu 1400 master k8ts0 up type veth peer name eth0 address 0a:58:0a:f4:00:05 mtu 1400 netns /run/netns/x',
    );
    expect(podCommands(link).trim().split('\n').slice(2)).toEqual([
      'addr add 10.244.0.5/32 dev eth0',
      'route add 10.244.0.1/32 dev eth0 scope link',
      'route add 0.0.0.0/0 via 10.244.0.1 dev eth0 src 10.244.0.5',
      'addr add fd00::5/128 dev eth0 nodad',
      'route add fd00::1/128 dev eth0',
      'route add ::/0 via fd00::1 dev eth0 src fd00::5',
    ]);
  });

  it('takes an existing bridge over, with other addresses', () => {
    const commands = bridgeCommands({
      bridge: 'k8ts0',
      exists: true,
      mtu: 1500,
      addresses: ['10.244.1.1/24'],
      serviceCidrs: ['10.96.0.0/12'],
      staleAddresses: ['10.244.0.1/24'],
    });
    expect(commands.trim().split('\n')).toEqual([
      'addr del 10.244.0.1/24 dev k8ts0',
      'addr replace 10.244.1.1/24 dev k8ts0',
      'link set dev k8ts0 mtu 1500 up',
      'route replace 10.96.0.0/12 dev k8ts0',
    ]);
  });
});
