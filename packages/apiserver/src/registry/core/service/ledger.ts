/**
 * What services hold: cluster IPs and node ports. Built from the stored services when first needed, kept by what is taken
 * and given back here, and compared with the stored services again from time to time, so that nothing leaks.
 *
 * Invariant: whatever a stored service holds is taken, and so is what a request in flight took. Between the check of a
 * number and its taking nothing waits, so two requests of one API server never get the same. Between API servers the
 * IPAddress objects decide (docs/adr/0080).
 */
import { corev1 } from '@k8ts/api';
import type { StrategyContext } from '../../contract.ts';
import { formatIp, parseIp } from '../../ip-addresses.ts';
import { nodePortsOf } from './fields.ts';

const COMPARE_AFTER_MS = 180_000;

export class ServiceLedger {
  #addresses: Set<string> | undefined;
  #ports = new Set<number>();
  #comparedAt = 0;
  /** Taken by requests whose outcome is not yet visible among the stored services. */
  readonly #recent = new Map<string | number, number>();

  isTaken(item: string | number, context: StrategyContext): boolean {
    const addresses = this.#upToDate(context);
    return typeof item === 'number' ? this.#ports.has(item) : addresses.has(item);
  }

  take(item: string | number, context: StrategyContext): void {
    const addresses = this.#upToDate(context);
    if (typeof item === 'number') this.#ports.add(item);
    else addresses.add(item);
    this.#recent.set(item, context.clock.now());
  }

  giveBack(items: Iterable<string | number>): void {
    for (const item of items) {
      if (typeof item === 'number') this.#ports.delete(item);
      else this.#addresses?.delete(item);
      this.#recent.delete(item);
    }
  }

  #upToDate(context: StrategyContext): Set<string> {
    const now = context.clock.now();
    if (this.#addresses !== undefined && now - this.#comparedAt < COMPARE_AFTER_MS) return this.#addresses;
    const addresses = new Set<string>();
    const ports = new Set<number>();
    for (const service of context.lookUpAll(corev1.services)) {
      for (const item of heldBy(service)) {
        if (typeof item === 'number') ports.add(item);
        else addresses.add(item);
      }
    }
    for (const [item, since] of this.#recent) {
      if (now - since > COMPARE_AFTER_MS) this.#recent.delete(item);
      else if (typeof item === 'number') ports.add(item);
      else addresses.add(item);
    }
    this.#ports = ports;
    this.#comparedAt = now;
    return (this.#addresses = addresses);
  }
}

/** Addresses in canonical form, and ports. */
export function heldBy(service: corev1.Service): (string | number)[] {
  const held: (string | number)[] = [...addressesOf(service), ...nodePortsOf(service)];
  const port = service.spec?.healthCheckNodePort ?? 0;
  if (port !== 0) held.push(port);
  return held;
}

export function addressesOf({ spec }: corev1.Service): string[] {
  return (spec?.clusterIPs ?? []).flatMap((text) => {
    const address = parseIp(text);
    return address === undefined ? [] : [formatIp(address)];
  });
}
