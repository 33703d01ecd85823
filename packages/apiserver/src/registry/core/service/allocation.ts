/** Takes cluster IPs and node ports for a service, and gives back what an update no longer needs. */
import { networkingv1, type corev1, type Draft } from '@k8ts/api';
import type { StatusError } from '@k8ts/apimachinery';
import { hasReason, index, internalError, invalid, invalidValue, type FieldError } from '@k8ts/apimachinery';
import type { Allocation, StrategyContext } from '../../contract.ts';
import { formatIp, parseIp } from '../../ip-addresses.ts';
import { addressRange, freeAddresses, rangeHas, type AddressRange } from './address-range.ts';
import {
  completeIpFamilies,
  isUnchangedPreferDualStack,
  keepAllocated,
  normalizeClusterIps,
} from './cluster-ip-fields.ts';
import { isHeadless, needsHealthCheckPort, needsNodePorts } from './fields.ts';
import { addressesOf, heldBy, ServiceLedger } from './ledger.ts';
import { freePort, parsePortRange, type PortRange } from './port-range.ts';

type Service = corev1.Service;

export interface ServiceNetwork {
  /** One CIDR, or one of each family; the first is the default. */
  readonly clusterIpRanges: readonly string[];
  /** `30000-32767` */
  readonly nodePorts: string;
}

export const DEFAULT_SERVICE_NETWORK: ServiceNetwork = {
  clusterIpRanges: ['10.96.0.0/12'],
  nodePorts: '30000-32767',
};

const MANAGED_BY = 'ipallocator.k8s.io';

export class ServiceAllocator {
  readonly #ranges: ReadonlyMap<string, AddressRange>;
  readonly #ports: PortRange;
  readonly #portsText: string;
  readonly #ledger = new ServiceLedger();

  /** Throws an Error for ranges that cannot be used. */
  constructor(network: ServiceNetwork) {
    const ranges = network.clusterIpRanges.map(addressRange);
    this.#ranges = new Map(ranges.map((range) => [range.family, range]));
    if (ranges.length === 0 || this.#ranges.size !== ranges.length)
      throw new Error('service ranges: one CIDR, or one for each IP family');
    this.#ports = parsePortRange(network.nodePorts);
    this.#portsText = network.nodePorts;
  }

  async allocate(
    service: Draft<Service>,
    old: Service | undefined,
    context: StrategyContext,
  ): Promise<Allocation> {
    if (old !== undefined) keepAllocated(service, old);
    normalizeClusterIps(service, old);
    refuse(service, completeIpFamilies(service, old, [...this.#ranges.keys()] as ('IPv4' | 'IPv6')[]));
    const transaction = new Transaction(this.#ledger, context);
    try {
      if (!isUnchangedPreferDualStack(service, old)) await this.#takeAddresses(service, old, transaction);
      this.#takePorts(service, old, transaction);
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
    transaction.releaseOnCommit(() => {
      if (old === undefined) return [];
      // Only now: what another type does not use is dropped after the allocation.
      const kept = new Set(heldBy(service));
      return heldBy(old).filter((item) => !kept.has(item));
    });
    return transaction;
  }

  /** After a service was removed. */
  async release(service: Service, context: StrategyContext): Promise<void> {
    const transaction = new Transaction(this.#ledger, context);
    transaction.releaseOnCommit(() => heldBy(service));
    await transaction.commit();
  }

  async #takeAddresses(
    service: Draft<Service>,
    old: Service | undefined,
    transaction: Transaction,
  ): Promise<void> {
    const { spec } = service;
    if (spec.type === 'ExternalName' || isHeadless(service)) return;
    if (old !== undefined && isHeadless(old)) return;
    const held = new Set(old === undefined || old.spec?.type === 'ExternalName' ? [] : addressesOf(old));
    const addresses = [...(spec.clusterIPs ?? [])];
    for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
      const range = this.#ranges.get(family);
      const wanted = addresses[i] ?? '';
      if (range === undefined || (wanted !== '' && held.has(canonical(wanted)))) continue;
      addresses[i] =
        wanted === ''
          ? await this.#takeAnyAddress(service, range, transaction)
          : await this.#takeAddress(service, range, wanted, transaction);
    }
    spec.clusterIPs = addresses;
    if (addresses[0] !== undefined) spec.clusterIP = addresses[0];
  }

  async #takeAnyAddress(
    service: Draft<Service>,
    range: AddressRange,
    transaction: Transaction,
  ): Promise<string> {
    const { context } = transaction;
    // A dry run takes nothing; it shows the range's own address instead.
    if (context.dryRun) return range.cidr.slice(0, range.cidr.indexOf('/'));
    const isTaken = (address: string): boolean => this.#ledger.isTaken(address, context);
    for (const address of freeAddresses(range, isTaken, context.random)) {
      if (await transaction.takeAddress(address, range, service)) return address;
    }
    throw internalError(
      new Error(`failed to allocate a serviceIP for Service "${service.metadata.name}": range is full`),
    );
  }

  async #takeAddress(
    service: Draft<Service>,
    range: AddressRange,
    wanted: string,
    transaction: Transaction,
  ): Promise<string> {
    const address = parseIp(wanted);
    const refused = (why: string): StatusError =>
      invalid({ group: '', kind: 'Service' }, service.metadata.name, [
        invalidValue('spec.clusterIPs', service.spec.clusterIPs, `failed to allocate IP ${wanted}: ${why}`),
      ]);
    if (address === undefined) throw internalError(new Error(`failed to parse service IP "${wanted}"`));
    if (!rangeHas(range, address))
      throw refused(
        `the provided IP (${formatIp(address)}) is not in the valid range. The range of valid IPs is ${range.cidr}`,
      );
    if (transaction.context.dryRun) return wanted;
    if (!(await transaction.takeAddress(formatIp(address), range, service)))
      throw refused('provided IP is already allocated');
    return wanted;
  }

  #takePorts(service: Draft<Service>, old: Service | undefined, transaction: Transaction): void {
    const { spec } = service;
    const held = new Set(old === undefined ? [] : heldBy(old));
    const typeHasPorts = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
    if (typeHasPorts) {
      // The same port over TCP and UDP shares its node port.
      const byPort = new Map<number, number>();
      for (const { port, nodePort = 0 } of spec.ports ?? [])
        if (nodePort !== 0 && !byPort.has(port)) byPort.set(port, nodePort);
      for (const [i, port] of (spec.ports ?? []).entries()) {
        const shared = byPort.get(port.port) ?? 0;
        if (!port.nodePort) {
          if (!needsNodePorts(service)) continue;
          port.nodePort =
            shared !== 0 && old === undefined ? shared : this.#anyPort('a nodePort', transaction);
          byPort.set(port.port, port.nodePort);
        }
        if (held.has(port.nodePort) || transaction.has(port.nodePort)) continue;
        const why = this.#takePort(port.nodePort, transaction);
        if (why !== undefined)
          refuse(service, [invalidValue(`${index('spec.ports', i)}.nodePort`, port.nodePort, why)]);
      }
    }
    if (!needsHealthCheckPort(service) || (old !== undefined && needsHealthCheckPort(old))) return;
    const wanted = spec.healthCheckNodePort ?? 0;
    if (wanted === 0) {
      spec.healthCheckNodePort = this.#anyPort('a HealthCheck NodePort', transaction);
      return;
    }
    const why = this.#takePort(wanted, transaction);
    if (why !== undefined)
      throw internalError(new Error(`failed to allocate requested HealthCheck NodePort ${wanted}: ${why}`));
  }

  #anyPort(what: string, transaction: Transaction): number {
    const { context } = transaction;
    const port = freePort(
      this.#ports,
      (candidate) => transaction.has(candidate) || this.#ledger.isTaken(candidate, context),
      context.random,
    );
    if (port === undefined) throw internalError(new Error(`failed to allocate ${what}: range is full`));
    transaction.takePort(port);
    return port;
  }

  /** Why the port cannot be had. */
  #takePort(port: number, transaction: Transaction): string | undefined {
    if (port < this.#ports.first || port > this.#ports.last)
      return `provided port is not in the valid range. The range of valid ports is ${this.#portsText}`;
    if (this.#ledger.isTaken(port, transaction.context)) return 'provided port is already allocated';
    transaction.takePort(port);
    return undefined;
  }
}

/** What one request took, until it is known whether the service was stored. */
class Transaction implements Allocation {
  readonly context: StrategyContext;
  readonly #ledger: ServiceLedger;
  readonly #taken = new Set<string | number>();
  #released: () => readonly (string | number)[] = () => [];

  constructor(ledger: ServiceLedger, context: StrategyContext) {
    this.#ledger = ledger;
    this.context = context;
  }

  has(item: string | number): boolean {
    return this.#taken.has(item);
  }

  takePort(port: number): void {
    this.#taken.add(port);
    if (!this.context.dryRun) this.#ledger.take(port, this.context);
  }

  /** False when somebody else has it. */
  async takeAddress(address: string, range: AddressRange, service: Draft<Service>): Promise<boolean> {
    if (this.#ledger.isTaken(address, this.context)) return false;
    this.#ledger.take(address, this.context);
    this.#taken.add(address);
    try {
      await this.context.objects?.create(networkingv1.ipAddresses, ipAddressObject(address, range, service));
      return true;
    } catch (error) {
      this.#taken.delete(address);
      // Another API server has it: it stays taken here too, until the next comparison.
      if (hasReason(error, 'AlreadyExists')) return false;
      this.#ledger.giveBack([address]);
      throw error;
    }
  }

  releaseOnCommit(items: () => readonly (string | number)[]): void {
    this.#released = items;
  }

  commit(): Promise<void> {
    return this.context.dryRun ? Promise.resolve() : this.#giveBack(this.#released());
  }

  rollback(): Promise<void> {
    return this.context.dryRun ? Promise.resolve() : this.#giveBack([...this.#taken]);
  }

  async #giveBack(items: readonly (string | number)[]): Promise<void> {
    this.#ledger.giveBack(items);
    for (const item of items)
      if (typeof item === 'string') await this.context.objects?.delete(networkingv1.ipAddresses, '', item);
  }
}

function ipAddressObject(
  address: string,
  range: AddressRange,
  { metadata }: Draft<Service>,
): Draft<networkingv1.IPAddress> {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: {
      name: address,
      labels: {
        'ipaddress.kubernetes.io/ip-family': range.family,
        'ipaddress.kubernetes.io/managed-by': MANAGED_BY,
      },
    },
    spec: {
      parentRef: { resource: 'services', namespace: metadata.namespace ?? '', name: metadata.name },
    },
  };
}

function canonical(text: string): string {
  const address = parseIp(text);
  return address === undefined ? text : formatIp(address);
}

function refuse(service: Draft<Service>, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: '', kind: 'Service' }, service.metadata.name, errors);
}
