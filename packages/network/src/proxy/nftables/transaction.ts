import { NO_RULES } from './service-rules.ts';
import type { ServiceRules } from './service-rules.ts';
import { MAPS } from './base-rules.ts';

const SETS: ReadonlySet<string> = new Set([MAPS.clusterIps]);

/**
 * Keeps which Service wants which rules, and writes the difference as one nftables transaction. Chains and affinity sets
 * belong to one Service each; elements may be wanted by several (an external IP that two claim), of which the first by name
 * has it, always the same one.
 */
export class RuleBook {
  readonly table: string;
  readonly #services = new Map<string, ServiceRules>();
  /** Element → by Service, what it shall be. */
  readonly #claims = new Map<string, Map<string, string>>();

  constructor(table: string) {
    this.table = table;
  }

  get(service: string): ServiceRules {
    return this.#services.get(service) ?? NO_RULES;
  }

  /** Puts a Service's rules, and gives what has to be done for it. */
  replace(changes: ReadonlyMap<string, ServiceRules>): RuleDifference {
    const before = new Map<string, string | undefined>();
    const difference: MutableDifference = {
      chains: new Map(),
      staleChains: new Set(),
      sets: new Map(),
      staleSets: new Set(),
    };
    for (const [service, rules] of changes) {
      const known = this.get(service);
      for (const [chain, lines] of rules.chains) {
        const was = known.chains.get(chain);
        if (was === undefined || !sameLines(was, lines)) difference.chains.set(chain, lines);
      }
      for (const chain of known.chains.keys())
        if (!rules.chains.has(chain)) difference.staleChains.add(chain);
      for (const [set, timeout] of rules.affinitySets) {
        const was = known.affinitySets.get(set);
        // A set's timeout cannot be changed: away with it and its members, as if the affinity had just been asked for.
        if (was !== undefined && was !== timeout) difference.staleSets.add(set);
        if (was !== timeout) difference.sets.set(set, timeout);
      }
      for (const set of known.affinitySets.keys())
        if (!rules.affinitySets.has(set)) difference.staleSets.add(set);
      for (const element of [...known.elements.keys(), ...rules.elements.keys()]) {
        if (!before.has(element)) before.set(element, this.#winner(element));
      }
      this.#put(service, known, rules);
    }
    const added = new Map<string, string>();
    const removed: string[] = [];
    for (const [element, was] of before) {
      const now = this.#winner(element);
      if (was === now) continue;
      if (was !== undefined) removed.push(withValue(element, was));
      if (now !== undefined) added.set(element, now);
    }
    // A set that is made anew with another timeout is still named by the chains that use it: those are written again.
    if (difference.staleSets.size > 0) {
      for (const service of changes.keys()) {
        for (const [chain, lines] of this.get(service).chains) {
          const uses = [...difference.staleSets].some((set) =>
            lines.some((line) => line.includes(`@${set} `)),
          );
          if (uses) difference.chains.set(chain, lines);
        }
      }
    }
    return { ...difference, added: [...added].map(([element, value]) => withValue(element, value)), removed };
  }

  /** Everything, for a table that is made anew. */
  all(): { readonly rules: readonly ServiceRules[]; readonly elements: readonly string[] } {
    const elements = [...this.#claims.keys()].flatMap((element) => {
      const value = this.#winner(element);
      return value === undefined ? [] : [withValue(element, value)];
    });
    return { rules: [...this.#services.values()], elements };
  }

  clear(): void {
    this.#services.clear();
    this.#claims.clear();
  }

  #put(service: string, known: ServiceRules, rules: ServiceRules): void {
    for (const element of known.elements.keys()) {
      const claims = this.#claims.get(element);
      claims?.delete(service);
      if (claims?.size === 0) this.#claims.delete(element);
    }
    for (const [element, value] of rules.elements) {
      let claims = this.#claims.get(element);
      if (claims === undefined) this.#claims.set(element, (claims = new Map<string, string>()));
      claims.set(service, value);
    }
    if (rules.chains.size + rules.elements.size === 0) this.#services.delete(service);
    else this.#services.set(service, rules);
  }

  #winner(element: string): string | undefined {
    const claims = this.#claims.get(element);
    if (claims === undefined) return undefined;
    let first: string | undefined;
    for (const service of claims.keys()) if (first === undefined || service < first) first = service;
    return first === undefined ? undefined : claims.get(first);
  }
}

export interface RuleDifference {
  /** To be written anew. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly staleChains: ReadonlySet<string>;
  readonly sets: ReadonlyMap<string, number>;
  readonly staleSets: ReadonlySet<string>;
  /** `service-ips { 10.96.0.1 . tcp . 443 : goto … }` */
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

interface MutableDifference {
  readonly chains: Map<string, readonly string[]>;
  readonly staleChains: Set<string>;
  readonly sets: Map<string, number>;
  readonly staleSets: Set<string>;
}

/** The commands for a difference. The order matters: nothing may be named before it is there, or removed while it is named. */
export function differenceCommands(table: string, difference: RuleDifference): string[] {
  const { chains, staleChains, sets, staleSets, added, removed } = difference;
  return [
    ...removed.map((element) => `delete element ${table} ${element}`),
    ...[...chains.keys(), ...staleChains].flatMap((chain) => [
      `add chain ${table} ${chain}`,
      `flush chain ${table} ${chain}`,
    ]),
    ...[...staleSets].map((set) => `delete set ${table} ${set}`),
    ...[...sets].map(([set, timeout]) => addAffinitySet(table, set, timeout)),
    ...[...chains].flatMap(([chain, lines]) => lines.map((line) => `add rule ${table} ${chain} ${line}`)),
    ...added.map((element) => `add element ${table} ${element}`),
  ];
}

/** The commands that fill a table whose base rules have just been written. */
export function fullCommands(
  table: string,
  book: RuleBook,
  existing: { readonly chains: ReadonlySet<string>; readonly sets: ReadonlyMap<string, number> },
): { readonly commands: string[]; readonly staleChains: string[] } {
  const { rules, elements } = book.all();
  const chains = new Map(rules.flatMap((service) => [...service.chains]));
  const sets = new Map(rules.flatMap((service) => [...service.affinitySets]));
  const staleChains = [...existing.chains].filter((chain) => !chains.has(chain));
  const staleSets = [...existing.sets]
    .filter(([set, timeout]) => sets.get(set) !== timeout)
    .map(([set]) => set);
  const newSets = [...sets].filter(([set, timeout]) => existing.sets.get(set) !== timeout);
  const commands = differenceCommands(table, {
    chains,
    staleChains: new Set(staleChains),
    sets: new Map(newSets),
    staleSets: new Set(staleSets),
    added: elements,
    removed: [],
  });
  return { commands, staleChains };
}

function addAffinitySet(table: string, set: string, timeout: number): string {
  const type = table.startsWith('ip6 ') ? 'ipv6_addr' : 'ipv4_addr';
  return `add set ${table} ${set} { type ${type}; flags dynamic,timeout; timeout ${timeout}s; }`;
}

/** `service-ips 10.96.0.1 . tcp . 443` and `goto x` → `service-ips { 10.96.0.1 . tcp . 443 : goto x }` */
function withValue(element: string, value: string): string {
  const blank = element.indexOf(' ');
  const [container, key] = [element.slice(0, blank), element.slice(blank + 1)];
  return SETS.has(container) ? `${container} { ${key} }` : `${container} { ${key} : ${value} }`;
}

function sameLines(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, index) => line === other[index]);
}
