import { createHash } from 'node:crypto';

import type { ServicePlan, ServicePortPlan, Target } from '../contract.ts';

/** Longest name in nftables (NFT_NAME_MAXLEN - 1), less the longest prefix that we use. */
const BASE_LENGTH = 240;

/**
 * Chains are named as upstream's are, so that what people know of reading them holds:
 * `service-ULMVA6XW-ns1/svc1/tcp/p80`, `endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80`. The hash keeps names apart that
 * are cut, and tells similar ones apart at a glance.
 */
export interface PortNames {
  readonly cluster: string;
  readonly local: string;
  readonly external: string;
  readonly firewall: string;
  endpoint(target: Target): string;
  affinity(target: Target): string;
}

export function namesOf(service: ServicePlan, port: ServicePortPlan): PortNames {
  const path = `${service.namespace}/${service.name}/${port.protocol}/${port.portName}`;
  const base = hashed(path);
  const endpoint = ({ ip, port: number }: Target): string =>
    hashed(`${path}__${ip.replaceAll(':', '.')}/${number}`);
  return {
    cluster: `service-${base}`,
    local: `local-${base}`,
    external: `external-${base}`,
    firewall: `firewall-${base}`,
    endpoint: (target) => `endpoint-${endpoint(target)}`,
    affinity: (target) => `affinity-${endpoint(target)}`,
  };
}

/** Our own chains have no slash in their names, those of Services always have. */
export const isServiceChain = (name: string): boolean => name.includes('/');
export const isAffinitySet = (name: string): boolean => name.startsWith('affinity-');

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

function hashed(name: string): string {
  const digest = createHash('sha256').update(name).digest();
  let hash = '';
  // Eight letters of five bits each: the first five bytes.
  for (let bits = digest.readUIntBE(0, 5), i = 0; i < 8; i++, bits = Math.floor(bits / 32)) {
    hash = `${BASE32[bits % 32] ?? ''}${hash}`;
  }
  const full = `${hash}-${name}`;
  return full.length > BASE_LENGTH ? `${full.slice(0, BASE_LENGTH - 3)}...` : full;
}
