import type { Logger, RunCommand } from '@k8ts/base';
import { findProgram } from '@k8ts/cri';

/**
 * Docker and some firewalls set the policy of the machine's FORWARD chain to drop, which no rule in a table of ours can
 * overrule: a packet has to be accepted there. Where that is so, two rules let the bridge's traffic pass. They are put in
 * with `iptables`, whose chain it is, so that it can still read it.
 */
export async function allowForwarding(run: RunCommand, bridge: string, logger: Logger): Promise<void> {
  const chain = await forwardChain(run);
  if (!/"policy":\s*"drop"/.test(chain) || chain.includes(`"${bridge}"`)) return;
  if ((await findProgram('iptables')) === undefined) {
    const advice = 'the chain "FORWARD" of the table "ip filter" drops; let the bridge pass there';
    logger.warn('this machine does not forward packets of pods', { bridge, advice });
    return;
  }
  for (const rule of rules(bridge)) await run('iptables', ['-w', '-I', 'FORWARD', ...rule]);
}

/** Takes back what `allowForwarding` did. Twice is harmless. */
export async function disallowForwarding(run: RunCommand, bridge: string): Promise<void> {
  if (!(await forwardChain(run)).includes(`"${bridge}"`)) return;
  if ((await findProgram('iptables')) === undefined) return;
  for (const rule of rules(bridge)) await run('iptables', ['-w', '-D', 'FORWARD', ...rule]);
}

/** Empty when there is none. */
function forwardChain(run: RunCommand): Promise<string> {
  return run('nft', ['-j', 'list', 'chain', 'ip', 'filter', 'FORWARD']).catch(() => '');
}

const rules = (bridge: string): string[][] => [
  ['-i', bridge, '-j', 'ACCEPT'],
  ['-o', bridge, '-j', 'ACCEPT'],
];
