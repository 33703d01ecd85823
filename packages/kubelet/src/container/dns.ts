import type { DnsConfig } from '@k8ts/cri';

import { isHostNetwork } from '../pod/pod-spec.ts';
import type { Pod } from '../pod/types.ts';

export interface NodeDns {
  /** Addresses of the cluster's DNS service; none: pods use the node's resolvers. */
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** The content of the node's resolv.conf. */
  readonly resolvConf: string;
}

const MAXIMUM_SERVERS = 3;
const MAXIMUM_SEARCHES = 32;
const MAXIMUM_SEARCH_CHARACTERS = 2048;

/**
 * A pod's resolv.conf by its dnsPolicy and dnsConfig (pkg/kubelet/network/dns). `warn` is told what does not fit (reason and
 * text of an event).
 */
export function podDns(pod: Pod, node: NodeDns, warn: (reason: string, message: string) => void): DnsConfig {
  const host = parseResolvConf(node.resolvConf);
  let policy: string = pod.spec.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'ClusterFirstWithHostNet') policy = 'ClusterFirst';
  else if (policy === 'ClusterFirst' && isHostNetwork(pod)) policy = 'Default';
  if (policy === 'ClusterFirst' && node.clusterDns.length === 0) {
    warn(
      'MissingClusterDNS',
      `pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})". kubelet does not have ClusterDNS IP configured and cannot create Pod using "${pod.spec.dnsPolicy ?? 'ClusterFirst'}" policy. Falling back to "Default" policy.`,
    );
    policy = 'Default';
  }
  let dns: DnsConfig;
  switch (policy) {
    case 'None':
      dns = { servers: [], searches: [], options: [] };
      break;
    case 'ClusterFirst':
      dns = {
        servers: node.clusterDns,
        searches: unique([
          `${pod.metadata.namespace}.svc.${node.clusterDomain}`,
          `svc.${node.clusterDomain}`,
          node.clusterDomain,
          ...host.searches,
        ]),
        options: ['ndots:5'],
      };
      break;
    default:
      dns = host.servers.length > 0 ? host : { ...host, servers: ['127.0.0.1'] };
  }
  return withinLimits(merge(dns, pod.spec.dnsConfig), warn);
}

function merge(dns: DnsConfig, config: Pod['spec']['dnsConfig']): DnsConfig {
  if (config === undefined) return dns;
  const options = new Map(dns.options.map((option) => [option.split(':')[0] as string, option]));
  for (const { name = '', value } of config.options ?? [])
    options.set(name, value === undefined || value === '' ? name : `${name}:${value}`);
  return {
    servers: unique([...dns.servers, ...(config.nameservers ?? [])]),
    searches: unique([...dns.searches, ...(config.searches ?? [])]),
    options: [...options.values()],
  };
}

function withinLimits(dns: DnsConfig, warn: (reason: string, message: string) => void): DnsConfig {
  let { servers, searches } = dns;
  if (servers.length > MAXIMUM_SERVERS) {
    servers = servers.slice(0, MAXIMUM_SERVERS);
    warn(
      'DNSConfigForming',
      `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(' ')}`,
    );
  }
  let length = -1;
  const fitting = searches
    .slice(0, MAXIMUM_SEARCHES)
    .filter((search) => (length += search.length + 1) <= MAXIMUM_SEARCH_CHARACTERS);
  if (fitting.length < searches.length) {
    searches = fitting;
    warn(
      'DNSConfigForming',
      `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(' ')}`,
    );
  }
  return { ...dns, servers, searches };
}

/** Server addresses, search domains and options of a resolv.conf; the last `search` line counts. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  const options: string[] = [];
  for (const line of text.split('\n')) {
    const [word, ...fields] = line.trim().split(/\s+/);
    if (word === 'nameserver' && fields[0] !== undefined) servers.push(fields[0]);
    // `.` is the root, which every lookup tries anyway.
    else if (word === 'search')
      searches = fields.filter((field) => field !== '.').map((field) => field.replace(/\.$/, ''));
    else if (word === 'options') options.push(...fields);
  }
  return { servers, searches, options };
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)];
}
