import type { PortMapping } from '@k8ts/cri';

import { canonicalAddress, familyOf, formatCidr, withoutContained } from '../address.ts';
import type { Cidr, IpFamily } from '../address.ts';

/** What the packet filter has to know of a bridge network. */
export interface BridgeRulesOptions {
  readonly bridge: string;
  /** Of this node, one of each family. */
  readonly podCidrs: readonly Cidr[];
  /** Of all nodes: traffic to them keeps its source. */
  readonly clusterCidrs: readonly Cidr[];
}

/** The host ports of one pod. */
export interface HostPorts {
  readonly ips: readonly string[];
  readonly portMappings: readonly PortMapping[];
}

/** The network's table has the bridge's name, so that whoever knows one finds the other. */
export const tableOf = (bridge: string): string => `inet ${bridge}`;

const WORDS = {
  IPv4: { ip: 'ip', type: 'ipv4_addr', suffix: '4', multicast: '224.0.0.0/4' },
  IPv6: { ip: 'ip6', type: 'ipv6_addr', suffix: '6', multicast: 'ff00::/8' },
} as const;

/** A transaction that makes the table anew, with the host ports of the pods that run already. */
export function bridgeTable(options: BridgeRulesOptions, pods: readonly HostPorts[]): string {
  const table = tableOf(options.bridge);
  const families = options.podCidrs.map(({ family }) => family);
  const lines = [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...families.flatMap(declarations),
    '  chain host-ports {',
    ...families.flatMap(hostPortRules),
    '  }',
    // Before the Services (dstnat, -100): a pod's host port wins over a node port, as with the portmap plugin.
    '  chain nat-prerouting { type nat hook prerouting priority dstnat - 5; jump host-ports; }',
    '  chain nat-output { type nat hook output priority -105; jump host-ports; }',
    '  chain nat-postrouting {',
    '    type nat hook postrouting priority srcnat;',
    ...options.podCidrs.flatMap((cidr) => masqueradeRules(cidr, options)),
    '  }',
    // The bridge may route 127.0.0.1, so that `localhost:port` reaches pods; nothing from a pod may come in by that name.
    '  chain guard {',
    '    type filter hook prerouting priority raw;',
    `    iifname "${options.bridge}" ip daddr 127.0.0.0/8 drop`,
    '  }',
    // Pods reach each other through the node, also on the same bridge; redirects would tell them of a shorter way,
    // which is closed, and which would let answers of Services go around their address translation.
    '  chain redirects {',
    '    type filter hook output priority filter;',
    `    oifname "${options.bridge}" icmp type redirect drop`,
    `    oifname "${options.bridge}" icmpv6 type nd-redirect drop`,
    '  }',
    '}',
    ...pods.flatMap((pod) => hostPortElements(options.bridge, pod, 'add')),
  ];
  return `${lines.join('\n')}\n`;
}

function declarations(family: IpFamily): string[] {
  const { type, suffix } = WORDS[family];
  return [
    `  map host-ports-${suffix} { type inet_proto . inet_service : ${type} . inet_service; }`,
    `  map host-ip-ports-${suffix} { type ${type} . inet_proto . inet_service : ${type} . inet_service; }`,
    `  set hairpins-${suffix} { type ${type} . ${type}; }`,
  ];
}

function hostPortRules(family: IpFamily): string[] {
  const { ip, suffix } = WORDS[family];
  const local = family === 'IPv4' ? '' : ' ip6 daddr != ::1';
  return [
    `    meta l4proto { tcp, udp, sctp } dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @host-ip-ports-${suffix}`,
    `    meta l4proto { tcp, udp, sctp } fib daddr type local${local} dnat ${ip} to meta l4proto . th dport map @host-ports-${suffix}`,
  ];
}

function masqueradeRules(cidr: Cidr, options: BridgeRulesOptions): string[] {
  const { ip, suffix, multicast } = WORDS[cidr.family];
  const kept = [...options.clusterCidrs, cidr].filter(({ family }) => family === cidr.family);
  const destinations = [...withoutContained(kept).map(formatCidr), multicast].join(', ');
  return [
    `    oifname "${options.bridge}" ${ip} saddr . ${ip} daddr @hairpins-${suffix} masquerade`,
    ...(cidr.family === 'IPv4'
      ? [`    oifname "${options.bridge}" ip saddr 127.0.0.0/8 masquerade fully-random`]
      : []),
    `    oifname != "${options.bridge}" ${ip} saddr ${formatCidr(cidr)} ${ip} daddr != { ${destinations} } masquerade fully-random`,
  ];
}

/** The commands that add or take back the host ports of a pod; none when it has none. */
export function hostPortElements(bridge: string, pod: HostPorts, verb: 'add' | 'delete'): string[] {
  const commands: string[] = [];
  const element = (set: string, value: string): void => {
    commands.push(`${verb} element ${tableOf(bridge)} ${set} { ${value} }`);
  };
  for (const ip of pod.ips) {
    const family = familyOf(ip);
    if (family === undefined) continue;
    const { suffix } = WORDS[family];
    const keys = hostPortKeys(pod.portMappings, family);
    for (const { address, protocol, hostPort, containerPort } of keys) {
      const target = `${ip} . ${containerPort}`;
      if (address === '') element(`host-ports-${suffix}`, `${protocol} . ${hostPort} : ${target}`);
      else element(`host-ip-ports-${suffix}`, `${address} . ${protocol} . ${hostPort} : ${target}`);
    }
    if (keys.length > 0) element(`hairpins-${suffix}`, `${ip} . ${ip}`);
  }
  return commands;
}

export interface HostPortKey {
  /** Empty: all of the node's. */
  readonly address: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostPort: number;
  readonly containerPort: number;
}

/** The host ports of one family; what names an address of the other family is not among them. */
export function hostPortKeys(portMappings: readonly PortMapping[], family: IpFamily): readonly HostPortKey[] {
  const keys: HostPortKey[] = [];
  for (const { protocol, containerPort, hostPort, hostIp } of portMappings) {
    if (hostPort === 0) continue;
    const everywhere = hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::';
    const address = everywhere ? '' : canonicalAddress(hostIp);
    if (address === undefined) throw new Error(`invalid host IP ${JSON.stringify(hostIp)}`);
    if (!everywhere && familyOf(address) !== family) continue;
    keys.push({
      address,
      protocol: protocol.toLowerCase() as HostPortKey['protocol'],
      hostPort,
      containerPort,
    });
  }
  return keys;
}
