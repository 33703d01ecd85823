import { readFile, writeFile } from 'node:fs/promises';

import { CommandError, errorMessage, runCommand } from '@k8ts/base';
import type { Logger, RunCommand } from '@k8ts/base';
import type { PodNetwork, PodNetworkRequest } from '@k8ts/cri';

import { formatCidr, parseCidr } from '../address.ts';
import type { Cidr } from '../address.ts';
import { requireNetworkHost } from '../host/programs.ts';
import { AddressPool } from './address-pool.ts';
import { bridgeTable, hostPortElements, hostPortKeys, tableOf } from './bridge-rules.ts';
import { allowForwarding, disallowForwarding } from './forward-policy.ts';
import { defaultRouteInterface, listHostLinks } from './host-links.ts';
import { LeaseStore } from './lease-store.ts';
import type { Lease } from './lease-store.ts';
import {
  bridgeCommands,
  deleteLinkCommands,
  hostCommands,
  hostInterfaceName,
  podCommands,
} from './link-commands.ts';
import type { PodLink } from './link-commands.ts';

export interface BridgeNetworkOptions {
  /** The interface's name, at most 15 characters; the packet filter's table has the same. Default `k8ts0`. */
  readonly bridge?: string;
  /** The node's, `10.244.0.0/24`; a second one of the other family makes the pods dual-stack. */
  readonly podCidrs: readonly string[];
  /** Of the whole cluster: what goes there keeps its source. Default: the node's own. */
  readonly clusterCidrs?: readonly string[];
  /** Of Services. Routed here, so that they are reachable on a machine without a default route (a laptop on a train). */
  readonly serviceCidrs?: readonly string[];
  /** For the leases. The network's own: `destroy` removes it. */
  readonly stateDir: string;
  /** Default: that of the default route's interface. */
  readonly mtu?: number;
  readonly logger: Logger;
  readonly run?: RunCommand;
}

export interface BridgeNetwork extends PodNetwork {
  readonly bridge: string;
  /** The node's addresses on the bridge, one of each family: reachable from its pods, and from nowhere else. */
  readonly gateways: readonly string[];
  /** Takes back what sandboxes hold that no longer live, as after a crash between the runtime and the network. */
  reconcile(liveSandboxIds: ReadonlySet<string>): Promise<void>;
  /** Removes everything: interfaces, bridge, packet filter table and leases. Twice is harmless. */
  destroy(): Promise<void>;
}

const DEFAULT_BRIDGE = 'k8ts0';

/**
 * The pod network of one node: a bridge, and a veth pair for each pod. What stands already (after a restart, with pods
 * running) is taken over as it is. Throws one clear sentence where the machine cannot do it.
 */
export async function createBridgeNetwork(options: BridgeNetworkOptions): Promise<BridgeNetwork> {
  await requireNetworkHost();
  const network = new HostBridge(options);
  await network.open();
  return network;
}

/** What `BridgeNetwork.destroy` does, for when the program that made the network is gone. */
export async function destroyBridgeNetwork(options: {
  readonly bridge?: string;
  readonly stateDir: string;
  readonly run?: RunCommand;
}): Promise<void> {
  const { bridge = DEFAULT_BRIDGE, stateDir, run = runCommand } = options;
  const links = await listHostLinks(run);
  const ours = links.filter(
    ({ name, master, kind }) => master === bridge || (name === bridge && kind === 'bridge'),
  );
  if (ours.length > 0) {
    await run('ip', ['-force', '-batch', '-'], {
      input: deleteLinkCommands(ours.map(({ name }) => name)),
    }).catch(ignoreMissing);
  }
  const table = tableOf(bridge);
  await run('nft', ['-f', '-'], { input: `add table ${table}\ndelete table ${table}\n` });
  await disallowForwarding(run, bridge);
  await new LeaseStore(stateDir).removeAll();
}

class HostBridge implements BridgeNetwork {
  readonly bridge: string;
  readonly #pools: readonly AddressPool[];
  readonly #clusterCidrs: readonly Cidr[];
  readonly #serviceCidrs: readonly Cidr[];
  readonly #options: BridgeNetworkOptions;
  readonly #logger: Logger;
  readonly #run: RunCommand;
  readonly #store: LeaseStore;
  readonly #leases = new Map<string, Lease>();
  /** `4//tcp/8080` → the sandbox that has it. */
  readonly #hostPorts = new Map<string, string>();
  #sequence = 0;
  #mtu = 1500;
  #destroyed = false;

  constructor(options: BridgeNetworkOptions) {
    this.bridge = options.bridge ?? DEFAULT_BRIDGE;
    if (!/^[a-zA-Z][a-zA-Z0-9_-]{0,14}$/.test(this.bridge)) {
      throw new Error(`invalid bridge name ${JSON.stringify(this.bridge)}`);
    }
    const podCidrs = options.podCidrs.map(requireCidr);
    if (podCidrs.length === 0 || new Set(podCidrs.map(({ family }) => family)).size !== podCidrs.length) {
      throw new Error(
        `a node has one pod CIDR of each family; these are ${JSON.stringify(options.podCidrs)}`,
      );
    }
    this.#pools = podCidrs.map((cidr) => new AddressPool(cidr));
    this.#clusterCidrs = (options.clusterCidrs ?? []).map(requireCidr);
    const families = podCidrs.map(({ family }) => family);
    this.#serviceCidrs = (options.serviceCidrs ?? [])
      .map(requireCidr)
      .filter(({ family }) => families.includes(family));
    this.#options = options;
    this.#logger = options.logger.child({ bridge: this.bridge });
    this.#run = options.run ?? runCommand;
    this.#store = new LeaseStore(options.stateDir);
  }

  get gateways(): readonly string[] {
    return this.#pools.map(({ gateway }) => gateway);
  }

  notReadyReason(): string | undefined {
    return this.#destroyed ? 'the pod network has been removed' : undefined;
  }

  async open(): Promise<void> {
    const damaged = (file: string): void => this.#logger.warn('removed a damaged lease', { file });
    for (const lease of await this.#store.load(damaged)) await this.#adopt(lease);
    const links = await listHostLinks(this.#run);
    const existing = links.find(({ name }) => name === this.bridge);
    if (existing !== undefined && existing.kind !== 'bridge') {
      throw new Error(`there is an interface ${this.bridge} already, and it is no bridge`);
    }
    const uplink = await defaultRouteInterface();
    this.#mtu = this.#options.mtu ?? links.find(({ name }) => name === uplink)?.mtu ?? 1500;
    const addresses = this.#pools.map(({ gateway, cidr }) => `${gateway}/${cidr.prefix}`);
    const staleAddresses = existing?.addresses.filter((address) => !addresses.includes(address)) ?? [];
    const input = bridgeCommands({
      bridge: this.bridge,
      exists: existing !== undefined,
      mtu: this.#mtu,
      addresses,
      staleAddresses,
      serviceCidrs: this.#serviceCidrs.map(formatCidr),
    });
    await this.#run('ip', ['-batch', '-'], { input });
    await this.#setSysctls();
    await this.#nft(
      bridgeTable(
        {
          bridge: this.bridge,
          podCidrs: this.#pools.map(({ cidr }) => cidr),
          clusterCidrs: this.#clusterCidrs,
        },
        [...this.#leases.values()],
      ),
    );
    await allowForwarding(this.#run, this.bridge, this.#logger);
    const known = new Set([...this.#leases.values()].map(({ interfaceName }) => interfaceName));
    const strays = links.filter(({ name, master }) => master === this.bridge && !known.has(name));
    await this.#deleteLinks(strays.map(({ name }) => name));
  }

  async setUp(pod: PodNetworkRequest): Promise<{ readonly ips: readonly string[] }> {
    const reason = this.notReadyReason();
    if (reason !== undefined) throw new Error(reason);
    if (!/^\/[^\s\\'"]+$/.test(pod.netns))
      throw new Error(`invalid network namespace ${JSON.stringify(pod.netns)}`);
    if (this.#leases.has(pod.sandboxId)) await this.tearDown(pod);
    const lease = this.#reserve(pod);
    try {
      await this.#store.save(lease);
      const link: PodLink = {
        bridge: this.bridge,
        interfaceName: lease.interfaceName,
        netns: pod.netns,
        ips: lease.ips,
        gateways: this.gateways,
        mtu: this.#mtu,
      };
      await this.#run('ip', ['-batch', '-'], { input: hostCommands(link) });
      await this.#run('nsenter', [`--net=${pod.netns}`, 'ip', '-batch', '-'], { input: podCommands(link) });
      await this.#nft(hostPortElements(this.bridge, lease, 'add').join('\n'));
      return { ips: lease.ips };
    } catch (error) {
      await this.tearDown(pod).catch((failure: unknown) =>
        this.#logger.error('cannot take back a network that failed to start', {
          pod: lease.pod,
          error: errorMessage(failure),
        }),
      );
      throw new Error(`cannot set up the network of pod ${lease.pod}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }

  async tearDown(pod: PodNetworkRequest): Promise<void> {
    await this.#release(pod.sandboxId);
  }

  async reconcile(liveSandboxIds: ReadonlySet<string>): Promise<void> {
    for (const [sandboxId, { pod }] of [...this.#leases]) {
      if (liveSandboxIds.has(sandboxId)) continue;
      this.#logger.info('took back the network of a pod that is gone', { pod, sandboxId });
      await this.#release(sandboxId);
    }
  }

  async destroy(): Promise<void> {
    this.#destroyed = true;
    await destroyBridgeNetwork({ bridge: this.bridge, stateDir: this.#options.stateDir, run: this.#run });
    for (const lease of this.#leases.values()) this.#forget(lease);
  }

  /** Takes over a lease of an earlier run; one that no longer fits (another pod CIDR) is removed with its interface. */
  async #adopt(lease: Lease): Promise<void> {
    this.#sequence = Math.max(this.#sequence, lease.sequence);
    const taken = lease.ips.filter((ip) => this.#pools.some((pool) => pool.take(ip)));
    if (
      taken.length === lease.ips.length &&
      lease.interfaceName === hostInterfaceName(this.bridge, lease.sandboxId)
    ) {
      this.#leases.set(lease.sandboxId, lease);
      for (const key of hostPortNames(lease)) this.#hostPorts.set(key, lease.sandboxId);
      return;
    }
    for (const ip of taken) this.#releaseAddress(ip);
    this.#logger.warn('dropped a lease that does not fit the pod CIDR', { pod: lease.pod, ips: lease.ips });
    await this.#store.remove(lease.sandboxId);
  }

  /** Without waiting for anything, so that no two pods get the same. */
  #reserve(pod: PodNetworkRequest): Lease {
    const { sandboxId, portMappings } = pod;
    const ips: string[] = [];
    try {
      for (const pool of this.#pools) ips.push(pool.allocate());
      const lease: Lease = {
        version: 1,
        sandboxId,
        pod: `${pod.namespace}/${pod.name}`,
        ips,
        interfaceName: hostInterfaceName(this.bridge, sandboxId),
        portMappings,
        sequence: ++this.#sequence,
      };
      for (const key of hostPortNames(lease)) {
        const holder = this.#leases.get(this.#hostPorts.get(key) ?? '');
        if (holder !== undefined) throw new Error(`host port ${key} is in use by pod ${holder.pod}`);
      }
      for (const key of hostPortNames(lease)) this.#hostPorts.set(key, sandboxId);
      this.#leases.set(sandboxId, lease);
      return lease;
    } catch (error) {
      for (const ip of ips) this.#releaseAddress(ip);
      throw error;
    }
  }

  async #release(sandboxId: string): Promise<void> {
    const lease = this.#leases.get(sandboxId);
    await this.#deleteLinks([lease?.interfaceName ?? hostInterfaceName(this.bridge, sandboxId)]);
    if (lease === undefined) return;
    const elements = hostPortElements(this.bridge, lease, 'delete');
    // When setting up failed before they were there: added again to be deleted, in one transaction.
    await this.#nft([...hostPortElements(this.bridge, lease, 'add'), ...elements].join('\n'));
    await this.#store.remove(sandboxId);
    // Only now: the address is free when nothing of its last holder is left.
    this.#forget(lease);
  }

  #forget(lease: Lease): void {
    if (this.#leases.get(lease.sandboxId) !== lease) return;
    this.#leases.delete(lease.sandboxId);
    for (const ip of lease.ips) this.#releaseAddress(ip);
    for (const key of hostPortNames(lease)) this.#hostPorts.delete(key);
  }

  #releaseAddress(ip: string): void {
    for (const pool of this.#pools) pool.release(ip);
  }

  async #deleteLinks(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const input = deleteLinkCommands(names);
    await this.#run('ip', ['-force', '-batch', '-'], { input }).catch(ignoreMissing);
  }

  async #nft(commands: string): Promise<void> {
    if (commands !== '') await this.#run('nft', ['-f', '-'], { input: `${commands}\n` });
  }

  async #setSysctls(): Promise<void> {
    const settings = [`net/ipv4/conf/${this.bridge}/route_localnet`];
    if (this.#pools.some(({ cidr }) => cidr.family === 'IPv4')) settings.push('net/ipv4/ip_forward');
    if (this.#pools.some(({ cidr }) => cidr.family === 'IPv6')) settings.push('net/ipv6/conf/all/forwarding');
    for (const setting of settings) await enableSysctl(setting);
  }
}

/** Written only where it is off: /proc/sys is read-only in some containers, which may have it on already. */
async function enableSysctl(setting: string): Promise<void> {
  const path = `/proc/sys/${setting}`;
  if ((await readFile(path, 'utf8')).trim() === '1') return;
  await writeFile(path, '1').catch((error: unknown) => {
    throw new Error(`pod networks need ${setting.replaceAll('/', '.')} = 1: ${errorMessage(error)}`, {
      cause: error,
    });
  });
}

function hostPortNames(lease: Lease): string[] {
  return (['IPv4', 'IPv6'] as const).flatMap((family) =>
    hostPortKeys(lease.portMappings, family).map(
      ({ address, protocol, hostPort }) => `${address === '' ? family : address}:${hostPort}/${protocol}`,
    ),
  );
}

function requireCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`invalid CIDR ${JSON.stringify(text)}`);
  if (formatCidr(cidr) !== text.trim() && cidr.family === 'IPv4') {
    throw new Error(
      `invalid CIDR ${JSON.stringify(text)}: it has host bits set, ${formatCidr(cidr)} was meant?`,
    );
  }
  return cidr;
}

/** An interface that is gone already is what was wanted. */
function ignoreMissing(error: unknown): void {
  if (!(error instanceof CommandError)) throw error;
  const others = error.stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !/Cannot find device|Command failed/.test(line));
  if (others.length > 0) throw error;
}
