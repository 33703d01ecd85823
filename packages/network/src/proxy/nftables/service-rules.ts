import { cidrContains, parseCidr } from '../../address.ts';
import type { ProxyModeOptions, ServicePlan, ServicePortPlan, Target } from '../contract.ts';
import { namesOf } from './names.ts';
import type { PortNames } from './names.ts';
import { MAPS, MARK_CHAIN, REJECT_CHAIN, wordsOf } from './base-rules.ts';

/** What a Service adds to the table. Chains hold rules in order; the others are sets of named things. */
export interface ServiceRules {
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** `service-ips 10.96.0.1 . tcp . 443` → `goto …`; an empty value for elements of plain sets. */
  readonly elements: ReadonlyMap<string, string>;
  /** Affinity sets and their timeouts in seconds. */
  readonly affinitySets: ReadonlyMap<string, number>;
}

export const NO_RULES: ServiceRules = { chains: new Map(), elements: new Map(), affinitySets: new Map() };

/**
 * The rules of one Service: upstream's (pkg/proxy/nftables/proxier.go), chain by chain. A packet goes
 *
 *     service-ips  → service-…  (internal traffic)            → endpoint-… → DNAT
 *     service-ips, → external-… (masquerade, short circuits)  → service-… or local-… → endpoint-… → DNAT
 *     service-nodeports
 *
 * and when there is nobody to answer, `no-endpoint-…` refuses it, or drops it where only the traffic policy forbids it.
 */
export function serviceRules(plan: ServicePlan, options: ProxyModeOptions): ServiceRules {
  const rules: MutableRules = { chains: new Map(), elements: new Map(), affinitySets: new Map() };
  for (const port of plan.ports) addPort(rules, plan, port, options);
  return rules;
}

interface MutableRules extends ServiceRules {
  readonly chains: Map<string, string[]>;
  readonly elements: Map<string, string>;
  readonly affinitySets: Map<string, number>;
}

function addPort(
  rules: MutableRules,
  plan: ServicePlan,
  port: ServicePortPlan,
  options: ProxyModeOptions,
): void {
  const { endpoints, clusterIp, protocol } = port;
  const names = namesOf(plan, port);
  const element = (map: string, key: string, value: string): void => {
    rules.elements.set(`${map} ${key}`, value);
  };
  const address = (ip: string): string => `${ip} . ${protocol} . ${port.port}`;
  element(MAPS.clusterIps, clusterIp, '');

  const hasInternal = port.internalPolicyLocal ? endpoints.local.length > 0 : endpoints.any;
  const hasExternal = port.externalPolicyLocal ? endpoints.local.length > 0 : endpoints.any;
  const nobody = endpoints.any ? 'drop' : `goto ${REJECT_CHAIN}`;

  if (hasInternal) {
    const chain = port.internalPolicyLocal ? names.local : names.cluster;
    element(MAPS.serviceIps, address(clusterIp), `goto ${chain}`);
  } else element(MAPS.noEndpointServices, address(clusterIp), nobody);

  for (const ip of [...port.externalIps, ...port.loadBalancerIps]) {
    if (endpoints.any) element(MAPS.serviceIps, address(ip), `goto ${names.external}`);
    if (!hasExternal) element(MAPS.noEndpointServices, address(ip), nobody);
  }
  if (port.nodePort !== 0) {
    const key = `${protocol} . ${port.nodePort}`;
    if (endpoints.any) element(MAPS.serviceNodePorts, key, `goto ${names.external}`);
    if (!hasExternal) element(MAPS.noEndpointNodePorts, key, nobody);
  }
  addFirewall(rules, port, names, options);

  const accessible = port.nodePort !== 0 || port.externalIps.length > 0 || port.loadBalancerIps.length > 0;
  if (endpoints.any && accessible) {
    rules.chains.set(names.external, externalRules(port, names, hasExternal, options));
  }
  // The masquerade rule of internal traffic is the first of the chain that internal traffic enters.
  const internal = hasInternal ? internalMasquerade(port, options) : [];
  if (endpoints.cluster.length > 0) {
    rules.chains.set(names.cluster, [
      ...(port.internalPolicyLocal ? [] : internal),
      ...balance(endpoints.cluster, port, names, options),
    ]);
  }
  if (endpoints.local.length > 0) {
    rules.chains.set(names.local, [
      ...(port.internalPolicyLocal ? internal : []),
      ...balance(endpoints.local, port, names, options),
    ]);
  }
  for (const target of endpoints.reachable) {
    rules.chains.set(names.endpoint(target), endpointRules(target, port, names, options));
    if (port.affinitySeconds > 0) rules.affinitySets.set(names.affinity(target), port.affinitySeconds);
  }
}

/** Off-cluster traffic may have come over any node: the answer must come back through this one. */
function internalMasquerade(port: ServicePortPlan, options: ProxyModeOptions): string[] {
  const { ip } = wordsOf(options.family);
  const match = `${ip} daddr ${port.clusterIp} ${port.protocol} dport ${port.port}`;
  if (options.masqueradeAll) return [`${match} jump ${MARK_CHAIN}`];
  if (options.clusterCidrs.length === 0) return [];
  return [`${match} ${ip} saddr != { ${options.clusterCidrs.join(', ')} } jump ${MARK_CHAIN}`];
}

function externalRules(
  port: ServicePortPlan,
  names: PortNames,
  hasExternal: boolean,
  options: ProxyModeOptions,
): string[] {
  const rules: string[] = [];
  if (!port.externalPolicyLocal) rules.push(`jump ${MARK_CHAIN}`);
  else {
    // There is a cluster chain: whoever is reached from outside uses the policy Cluster for the short ways below.
    const { ip } = wordsOf(options.family);
    const shortCut = `goto ${names.cluster}`;
    // As if it had gone out to a load balancer and come back: no policy holds for the cluster's own traffic.
    if (options.clusterCidrs.length > 0) {
      const pods = `${ip} saddr { ${options.clusterCidrs.join(', ')} }`;
      rules.push(`${pods} ${shortCut} comment "short-circuit pod traffic"`);
    }
    rules.push(
      `fib saddr type local jump ${MARK_CHAIN} comment "masquerade local traffic"`,
      `fib saddr type local ${shortCut} comment "short-circuit local traffic"`,
    );
  }
  if (hasExternal) rules.push(`goto ${port.externalPolicyLocal ? names.local : names.cluster}`);
  return rules;
}

function addFirewall(
  rules: MutableRules,
  port: ServicePortPlan,
  names: PortNames,
  options: ProxyModeOptions,
): void {
  const { loadBalancerIps, sourceRanges } = port;
  if (loadBalancerIps.length === 0 || sourceRanges.length === 0) return;
  const { ip } = wordsOf(options.family);
  const allowed = [...sourceRanges];
  const fromNode = sourceRanges.some((range) => {
    const cidr = parseCidr(range);
    return cidr !== undefined && options.nodeIp !== undefined && cidrContains(cidr, options.nodeIp);
  });
  // Where the load balancer's address is one of this machine's own, traffic of the node comes back with it as source.
  if (fromNode) {
    for (const lbIp of loadBalancerIps) {
      const covered = sourceRanges.some((range) => cidrContains(parseCidr(range) ?? NOWHERE, lbIp));
      if (!covered) allowed.push(lbIp);
    }
  }
  rules.chains.set(names.firewall, [`${ip} saddr != { ${allowed.join(', ')} } drop`]);
  for (const lbIp of loadBalancerIps) {
    rules.elements.set(
      `${MAPS.firewallIps} ${lbIp} . ${port.protocol} . ${port.port}`,
      `goto ${names.firewall}`,
    );
  }
}

const NOWHERE = { family: 'IPv4', base: 0n, prefix: 32 } as const;

/** First the clients that have an endpoint already, then one by chance for the others. */
function balance(
  targets: readonly Target[],
  port: ServicePortPlan,
  names: PortNames,
  options: ProxyModeOptions,
): string[] {
  const { ip } = wordsOf(options.family);
  const sticky =
    port.affinitySeconds === 0
      ? []
      : targets.map((target) => `${ip} saddr @${names.affinity(target)} goto ${names.endpoint(target)}`);
  const choices = targets.map((target, index) => `${index} : goto ${names.endpoint(target)}`).join(', ');
  return [...sticky, `numgen random mod ${targets.length} vmap { ${choices} }`];
}

function endpointRules(
  target: Target,
  port: ServicePortPlan,
  names: PortNames,
  options: ProxyModeOptions,
): string[] {
  const { ip } = wordsOf(options.family);
  const destination = target.ip.includes(':')
    ? `[${target.ip}]:${target.port}`
    : `${target.ip}:${target.port}`;
  return [
    // An endpoint that calls its own Service would answer itself directly, and not recognise the answer.
    `${ip} saddr ${target.ip} jump ${MARK_CHAIN}`,
    ...(port.affinitySeconds === 0 ? [] : [`update @${names.affinity(target)} { ${ip} saddr }`]),
    `meta l4proto ${port.protocol} dnat to ${destination}`,
  ];
}
