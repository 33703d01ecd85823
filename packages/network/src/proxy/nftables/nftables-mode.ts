import { CommandError, errorMessage } from '@k8ts/base';
import type { Clock, Logger, RunCommand } from '@k8ts/base';

import type { ProxyMode, ProxyModeOptions, ServicePlan } from '../contract.ts';
import { baseRules, rangesOf } from './base-rules.ts';
import { isAffinitySet, isServiceChain } from './names.ts';
import { serviceRules } from './service-rules.ts';
import { RuleBook, differenceCommands, fullCommands } from './transaction.ts';

export interface NftablesModeOptions extends ProxyModeOptions {
  /** Default `kube-proxy`, as upstream's. */
  readonly table?: string;
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Kernels before 6.2 notice only a moment after the transaction that a map no longer leads to a chain, and refuse to delete
 * it until then. So chains are emptied at once, and deleted by a sync that comes at least this much later.
 */
const STALE_CHAIN_DELAY = 1_000;

/** Services in nftables, one table of one address family. Each sync is one transaction: packets see all of it or nothing. */
export function createNftablesMode(options: NftablesModeOptions): ProxyMode {
  const { run, clock, logger, family } = options;
  const rangedOptions = {
    ...options,
    clusterCidrs: rangesOf(options.clusterCidrs, family),
    serviceCidrs: rangesOf(options.serviceCidrs, family),
  };
  const tableName = options.table ?? 'kube-proxy';
  const nftFamily = family === 'IPv4' ? 'ip' : 'ip6';
  const table = `${nftFamily} ${tableName}`;
  const book = new RuleBook(table);
  /** Emptied chains and when they became so. */
  const staleChains = new Map<string, number>();

  const apply = async (commands: readonly string[]): Promise<void> => {
    if (commands.length > 0) await run('nft', ['-f', '-'], { input: `${commands.join('\n')}\n` });
  };

  const deleteStaleChains = async (): Promise<void> => {
    const due = [...staleChains].filter(([, since]) => clock.monotonic() - since >= STALE_CHAIN_DELAY);
    if (due.length === 0) return;
    try {
      await apply(due.map(([chain]) => `delete chain ${table} ${chain}`));
      for (const [chain] of due) staleChains.delete(chain);
    } catch (error) {
      // They are empty and nobody's: the next full sync finds them again.
      for (const [chain] of due) staleChains.delete(chain);
      logger.warn('cannot delete stale chains yet', { table, count: due.length, error: errorMessage(error) });
    }
  };

  const rulesOf = (plans: ReadonlyMap<string, ServicePlan>) =>
    new Map([...plans].map(([service, plan]) => [service, serviceRules(plan, rangedOptions)]));

  const syncAll = async (plans: ReadonlyMap<string, ServicePlan>): Promise<void> => {
    book.clear();
    book.replace(rulesOf(plans));
    const existing = await listTable(run, nftFamily, tableName);
    const full = fullCommands(table, book, existing);
    await apply([...baseRules(table, rangedOptions), ...full.commands]);
    staleChains.clear();
    for (const chain of full.staleChains) staleChains.set(chain, clock.monotonic());
  };

  const syncChanges = async (plans: ReadonlyMap<string, ServicePlan>): Promise<void> => {
    const difference = book.replace(rulesOf(plans));
    await apply(differenceCommands(table, difference));
    for (const chain of difference.chains.keys()) staleChains.delete(chain);
    for (const chain of difference.staleChains) staleChains.set(chain, clock.monotonic());
  };

  return {
    sync: async (plans, full) => {
      await deleteStaleChains();
      await (full ? syncAll(plans) : syncChanges(plans));
    },
    intact: async () => {
      await deleteStaleChains();
      try {
        const output = await run('nft', ['-j', 'list', 'chain', nftFamily, tableName, 'nat-prerouting']);
        return output.includes('"services"');
      } catch (error) {
        if (error instanceof CommandError && error.exitCode !== undefined) return false;
        throw error;
      }
    },
    cleanup: async () => {
      book.clear();
      staleChains.clear();
      await apply([`add table ${table}`, `delete table ${table}`]);
    },
  };
}

interface NftObject {
  readonly chain?: { readonly table: string; readonly name: string };
  readonly set?: { readonly table: string; readonly name: string; readonly timeout?: number };
}

/** The chains of Services and the affinity sets that the table has. */
async function listTable(
  run: RunCommand,
  nftFamily: string,
  tableName: string,
): Promise<{ readonly chains: Set<string>; readonly sets: Map<string, number> }> {
  const list = async (what: string): Promise<readonly NftObject[]> => {
    const output = await run('nft', ['-j', '-t', 'list', what, nftFamily]);
    if (output.trim() === '') return [];
    return (JSON.parse(output) as { readonly nftables: readonly NftObject[] }).nftables;
  };
  const chains = new Set<string>();
  const sets = new Map<string, number>();
  for (const { chain } of await list('chains')) {
    if (chain?.table === tableName && isServiceChain(chain.name)) chains.add(chain.name);
  }
  for (const { set } of await list('sets')) {
    if (set?.table === tableName && isAffinitySet(set.name)) sets.set(set.name, set.timeout ?? 0);
  }
  return { chains, sets };
}
