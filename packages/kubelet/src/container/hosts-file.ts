import type { Pod } from '../pod/types.ts';
import type { PodHostname } from './hostname.ts';

const MARK = '# Kubernetes-managed hosts file';
const STANDARD = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
];

/** The `/etc/hosts` of a pod with a network of its own. */
export function managedHostsFile(
  pod: Pod,
  podIps: readonly string[],
  { hostname, domain }: PodHostname,
): string {
  const names = domain === '' ? hostname : `${hostname}.${domain}\t${hostname}`;
  const own = podIps.map((ip) => `${ip}\t${names}`);
  return `${[`${MARK}.`, ...STANDARD, ...own].join('\n')}\n${hostAliases(pod)}`;
}

/** The `/etc/hosts` of a pod in the host's network: the host's, and the pod's aliases. */
export function hostNetworkHostsFile(pod: Pod, hostFile: string): string {
  return `${MARK} (host network).\n${hostFile}${hostAliases(pod)}`;
}

function hostAliases(pod: Pod): string {
  const aliases = pod.spec.hostAliases ?? [];
  if (aliases.length === 0) return '';
  const lines = aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join('\t')}`);
  return `\n# Entries added by HostAliases.\n${lines.join('\n')}\n`;
}
