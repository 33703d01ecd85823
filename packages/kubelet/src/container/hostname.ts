import type { Pod } from '../pod/types.ts';

const HOSTNAME_LIMIT = 63;
/** The kernel's. */
const FQDN_LIMIT = 64;

export interface PodHostname {
  readonly hostname: string;
  /** `svc.ns.svc.cluster.local`; empty without a subdomain. */
  readonly domain: string;
}

/** The pod's name for itself and the domain of its subdomain (GeneratePodHostNameAndDomain). */
export function podHostname(pod: Pod, clusterDomain: string): PodHostname {
  const { hostnameOverride, hostname, subdomain } = pod.spec;
  if (hostnameOverride !== undefined && hostnameOverride !== '')
    return { hostname: hostnameOverride, domain: '' };
  const chosen =
    hostname !== undefined && hostname !== ''
      ? hostname
      : pod.metadata.name.slice(0, HOSTNAME_LIMIT).replace(/[-.]+$/, '');
  const domain =
    subdomain === undefined || subdomain === ''
      ? ''
      : `${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}`;
  return { hostname: chosen, domain };
}

/** What the kernel of the pod is told: with setHostnameAsFQDN the whole name. */
export function nodeHostname(pod: Pod, { hostname, domain }: PodHostname): string {
  if (pod.spec.setHostnameAsFQDN !== true || domain === '') return hostname;
  const fqdn = `${hostname}.${domain}`;
  if (fqdn.length > FQDN_LIMIT)
    throw new Error(
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long (${FQDN_LIMIT} characters is the max, ${fqdn.length} characters requested)`,
    );
  return fqdn;
}
