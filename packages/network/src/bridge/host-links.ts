import { readFile } from 'node:fs/promises';

import type { RunCommand } from '@k8ts/base';

/** What `ip -json -details address show` tells of an interface, as far as it is read here. */
export interface HostLink {
  readonly name: string;
  readonly mtu: number;
  readonly kind: string | undefined;
  /** The bridge that it is a port of. */
  readonly master: string | undefined;
  /** With their prefix lengths; without those of the link itself. */
  readonly addresses: readonly string[];
}

interface IpAddressShow {
  readonly ifname?: string;
  readonly mtu?: number;
  readonly master?: string;
  readonly linkinfo?: { readonly info_kind?: string };
  readonly addr_info?: readonly {
    readonly local?: string;
    readonly prefixlen?: number;
    readonly scope?: string;
  }[];
}

/** The interfaces of the network namespace that this process is in. */
export async function listHostLinks(run: RunCommand): Promise<readonly HostLink[]> {
  const output = await run('ip', ['-json', '-details', 'address', 'show']);
  const shown = JSON.parse(output.trim() === '' ? '[]' : output) as readonly IpAddressShow[];
  return shown
    .filter(({ ifname }) => ifname !== undefined)
    .map(({ ifname = '', mtu = 1500, master, linkinfo, addr_info = [] }) => ({
      name: ifname,
      mtu,
      kind: linkinfo?.info_kind,
      master,
      addresses: addr_info
        .filter(({ local, scope }) => local !== undefined && scope !== 'link')
        .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    }));
}

/**
 * The interface of the default route, whose MTU the pods get: a larger one would be lost on the way out where it is small
 * (VPNs, clouds). Undefined on a machine without one.
 */
export async function defaultRouteInterface(): Promise<string | undefined> {
  const routes = await readFile('/proc/self/net/route', 'utf8').catch(() => '');
  for (const line of routes.split('\n').slice(1)) {
    const [name, destination, , , , , , mask] = line.split('\t');
    if (destination === '00000000' && mask?.trim() === '00000000') return name;
  }
  return undefined;
}
