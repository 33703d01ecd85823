import { createHash } from 'node:crypto';

import { addressBits, familyOf, parseAddress } from '../address.ts';

/**
 * The lines that `ip -batch` gets. One call makes the pair of interfaces with its far end in the pod's namespace, a second
 * one, inside, gives it addresses and routes: two processes are all that a pod's network costs.
 */

/** At most 15 characters (IFNAMSIZ), the same for the same sandbox. */
export function hostInterfaceName(bridge: string, sandboxId: string): string {
  return `veth${createHash('sha256').update(`${bridge}/${sandboxId}`).digest('hex').slice(0, 8)}`;
}

/**
 * An interface's hardware address follows from its IPv4 address (the bridge plugin's scheme), so that neighbours that
 * remember the last holder of an address still reach the next one. 10.244.0.5 → 0a:58:0a:f4:00:05
 */
export function hardwareAddress(ips: readonly string[]): string {
  const ip = ips.find((candidate) => familyOf(candidate) === 'IPv4') ?? ips[0] ?? '0.0.0.0';
  const value = Number((parseAddress(ip) ?? 0n) & 0xffffffffn);
  const bytes = [24, 16, 8, 0].map((shift) => ((value >>> shift) & 0xff).toString(16).padStart(2, '0'));
  return ['0a', '58', ...bytes].join(':');
}

export interface PodLink {
  readonly bridge: string;
  readonly interfaceName: string;
  readonly netns: string;
  readonly ips: readonly string[];
  /** Of the same families as `ips`, in the same order. */
  readonly gateways: readonly string[];
  readonly mtu: number;
}

/**
 * On the node: the pair, one end on the bridge. Pods meet at layer 3 only, but where br_netfilter is loaded, the kernel
 * bridges what was translated to a pod of the same bridge. So ports are not isolated from each other, and a packet may leave
 * by the port that it came from (hairpin), for a pod that calls itself by a Service.
 */
export function hostCommands(link: PodLink): string {
  const { interfaceName, bridge, mtu, netns, ips } = link;
  return batch([
    `link add name ${interfaceName} mtu ${mtu} master ${bridge} up type veth ` +
      `peer name eth0 address ${hardwareAddress(ips)} mtu ${mtu} netns ${netns}`,
    `link set dev ${interfaceName} type bridge_slave hairpin on`,
  ]);
}

/** In the pod. Its address stands alone (/32), so all that it sends goes through the node, where Services are resolved. */
export function podCommands(link: PodLink): string {
  const lines = ['link set dev lo up', 'link set dev eth0 up'];
  link.ips.forEach((ip, index) => {
    const family = familyOf(ip) ?? 'IPv4';
    const gateway = link.gateways[index] ?? '';
    const bits = addressBits(family);
    lines.push(
      `addr add ${ip}/${bits} dev eth0${family === 'IPv6' ? ' nodad' : ''}`,
      `route add ${gateway}/${bits} dev eth0${family === 'IPv4' ? ' scope link' : ''}`,
      `route add ${family === 'IPv4' ? '0.0.0.0/0' : '::/0'} via ${gateway} dev eth0 src ${ip}`,
    );
  });
  return batch(lines);
}

export interface BridgeLink {
  readonly bridge: string;
  readonly exists: boolean;
  readonly mtu: number;
  /** `10.244.0.1/24` */
  readonly addresses: readonly string[];
  /** Of Services: their packets are given a destination on the way, and need a route before that. */
  readonly serviceCidrs: readonly string[];
  /** Addresses of another configuration. */
  readonly staleAddresses: readonly string[];
}

export function bridgeCommands(link: BridgeLink): string {
  const { bridge, exists, mtu, addresses, staleAddresses, serviceCidrs } = link;
  const gateways = addresses.map((address) => address.slice(0, address.indexOf('/')));
  return batch([
    // With an address of its own: otherwise a bridge takes that of a port, and changes it as ports come and go.
    ...(exists
      ? []
      : [`link add name ${bridge} address ${hardwareAddress(gateways)} mtu ${mtu} type bridge`]),
    // A link-local address that is there at once: the node cannot ask for neighbours while its own is still being checked.
    ...(addresses.some((address) => address.includes(':'))
      ? [`link set dev ${bridge} addrgenmode none`, `addr replace fe80::1/64 dev ${bridge} nodad`]
      : []),
    ...staleAddresses.map((address) => `addr del ${address} dev ${bridge}`),
    ...addresses.map(
      (address) => `addr replace ${address} dev ${bridge}${address.includes(':') ? ' nodad' : ''}`,
    ),
    `link set dev ${bridge} mtu ${mtu} up`,
    ...serviceCidrs.map((cidr) => `route replace ${cidr} dev ${bridge}`),
  ]);
}

/** With `ip -force -batch`: goes on when one is gone already. */
export function deleteLinkCommands(names: readonly string[]): string {
  return batch(names.map((name) => `link del dev ${name}`));
}

const batch = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
