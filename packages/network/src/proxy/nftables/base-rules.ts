import { formatCidr, parseCidr, withoutContained } from '../../address.ts';
import type { IpFamily } from '../../address.ts';
import type { ProxyModeOptions } from '../contract.ts';

/** Upstream's names (pkg/proxy/nftables/proxier.go), for those who look for them. */
export const MAPS = {
  serviceIps: 'service-ips',
  serviceNodePorts: 'service-nodeports',
  noEndpointServices: 'no-endpoint-services',
  noEndpointNodePorts: 'no-endpoint-nodeports',
  firewallIps: 'firewall-ips',
  clusterIps: 'cluster-ips',
} as const;

export const MARK_CHAIN = 'mark-for-masquerade';
export const REJECT_CHAIN = 'reject-chain';
const NODE_PORT_IPS = 'nodeport-ips';

/** Bit 14 (`--iptables-masquerade-bit`). */
const MASQUERADE_MARK = '0x4000';

export function wordsOf(family: IpFamily): { readonly ip: string; readonly type: string } {
  return family === 'IPv4' ? { ip: 'ip', type: 'ipv4_addr' } : { ip: 'ip6', type: 'ipv6_addr' };
}

interface BaseChain {
  readonly name: string;
  readonly hook: string;
  readonly rules: readonly string[];
}

/**
 * The part of the table that no Service changes, written so that it can be applied over an older one: what exists stays,
 * its rules are replaced. Elements of maps and chains of Services are the caller's.
 */
export function baseRules(table: string, options: ProxyModeOptions): string[] {
  const commands = [`add table ${table} { comment "rules for kube-proxy"; }`];
  const { ip, type } = wordsOf(options.family);
  const destination = `${type} . inet_proto . inet_service : verdict`;
  const maps: readonly [string, string][] = [
    [MAPS.serviceIps, destination],
    [MAPS.serviceNodePorts, 'inet_proto . inet_service : verdict'],
    [MAPS.noEndpointServices, destination],
    [MAPS.noEndpointNodePorts, 'inet_proto . inet_service : verdict'],
    [MAPS.firewallIps, destination],
  ];
  for (const [name, types] of maps) {
    commands.push(`add map ${table} ${name} { type ${types}; }`, `flush map ${table} ${name}`);
  }
  for (const set of [MAPS.clusterIps, NODE_PORT_IPS]) {
    commands.push(`add set ${table} ${set} { type ${type}; }`, `flush set ${table} ${set}`);
  }
  const accepting = nodePortElements(options);
  if (accepting.length > 0) {
    commands.push(`add element ${table} ${NODE_PORT_IPS} { ${accepting.join(', ')} }`);
  }
  const chains = [...regularChains(ip, options), ...baseChains()];
  for (const { name, hook } of chains) {
    commands.push(`add chain ${table} ${name}${hook === '' ? '' : ` { ${hook}; }`}`);
  }
  for (const { name, rules } of chains) {
    commands.push(`flush chain ${table} ${name}`);
    commands.push(...rules.map((rule) => `add rule ${table} ${name} ${rule}`));
  }
  return commands;
}

function nodePortElements({ nodePortAddresses, localhostNodePorts, family }: ProxyModeOptions): string[] {
  if (nodePortAddresses === undefined) return [];
  const localhost = localhostNodePorts && family === 'IPv4' ? ['127.0.0.1'] : [];
  return [...new Set([...nodePortAddresses, ...localhost])];
}

function regularChains(ip: string, options: ProxyModeOptions): BaseChain[] {
  const address = `${ip} daddr . meta l4proto . th dport`;
  const nodePort = `${nodePortMatch(ip, options)} meta l4proto . th dport`;
  return [
    {
      name: 'services',
      hook: '',
      rules: [`${address} vmap @${MAPS.serviceIps}`, `${nodePort} vmap @${MAPS.serviceNodePorts}`],
    },
    {
      name: 'endpoints-check',
      hook: '',
      rules: [`${address} vmap @${MAPS.noEndpointServices}`, `${nodePort} vmap @${MAPS.noEndpointNodePorts}`],
    },
    // Upstream says "port unreachable" to TCP too. A client on this machine is still inside connect() when that comes back,
    // the kernel then takes no notice, and the client hears of it a second later, when it tries again. A reset is kept.
    { name: REJECT_CHAIN, hook: '', rules: ['meta l4proto tcp reject with tcp reset', 'reject'] },
    // What is still for a cluster IP after address translation is for a port that no Service has.
    {
      name: 'cluster-ips-check',
      hook: '',
      rules: [
        `${ip} daddr @${MAPS.clusterIps} goto ${REJECT_CHAIN} comment "Reject traffic to invalid ports of ClusterIPs"`,
      ],
    },
    { name: 'firewall-check', hook: '', rules: [`${address} vmap @${MAPS.firewallIps}`] },
    { name: MARK_CHAIN, hook: '', rules: [`meta mark set meta mark or ${MASQUERADE_MARK}`] },
    {
      name: 'masquerading',
      hook: '',
      rules: [
        `meta mark and ${MASQUERADE_MARK} == 0 return`,
        `meta mark set meta mark xor ${MASQUERADE_MARK}`,
        'masquerade fully-random',
      ],
    },
  ];
}

function nodePortMatch(ip: string, options: ProxyModeOptions): string {
  if (options.nodePortAddresses !== undefined) return `${ip} daddr @${NODE_PORT_IPS}`;
  const noLocalhost = options.family === 'IPv4' ? 'ip daddr != 127.0.0.0/8' : 'ip6 daddr != ::1';
  const withLocalhost = options.localhostNodePorts && options.family === 'IPv4';
  return `fib daddr type local${withLocalhost ? '' : ` ${noLocalhost}`}`;
}

/**
 * Source ranges are checked before address translation, missing endpoints after it, so that traffic which a traffic policy
 * lets take the short way is not dropped by the entry that is meant for the rest.
 */
function baseChains(): BaseChain[] {
  const filter = (name: string, hook: string, priority: string, jumps: readonly string[]): BaseChain => ({
    name,
    hook: `type filter hook ${hook} priority ${priority}`,
    rules: jumps.map((chain) => `ct state new jump ${chain}`),
  });
  const nat = (name: string, hook: string, priority: string, chain: string): BaseChain => ({
    name,
    hook: `type nat hook ${hook} priority ${priority}`,
    rules: [`jump ${chain}`],
  });
  return [
    filter('filter-prerouting-pre-dnat', 'prerouting', '-110', ['firewall-check']),
    filter('filter-output-pre-dnat', 'output', '-110', ['firewall-check']),
    filter('filter-input', 'input', '-110', ['endpoints-check']),
    filter('filter-forward', 'forward', '-110', ['endpoints-check', 'cluster-ips-check']),
    filter('filter-output-post-dnat', 'output', '-90', ['endpoints-check', 'cluster-ips-check']),
    nat('nat-prerouting', 'prerouting', '-100', 'services'),
    nat('nat-output', 'output', '-100', 'services'),
    nat('nat-postrouting', 'postrouting', '100', 'masquerading'),
  ];
}

/** The ranges of one family, as nft takes them. */
export function rangesOf(cidrs: readonly string[], family: IpFamily): string[] {
  const parsed = cidrs.flatMap((cidr) => parseCidr(cidr) ?? []).filter((cidr) => cidr.family === family);
  return withoutContained(parsed).map(formatCidr);
}
