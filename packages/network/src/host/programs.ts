import { findProgram } from '@k8ts/cri';
import type { MissingProgram } from '@k8ts/cri';

/** Which host programs pod networks and kube-proxy need, with Debian's names of their packages. */
export const REQUIRED_NETWORK_PROGRAMS: readonly MissingProgram[] = [
  { program: 'ip', debianPackage: 'iproute2', purpose: 'sets up pod networks' },
  { program: 'nft', debianPackage: 'nftables', purpose: 'routes Services and host ports' },
  { program: 'nsenter', debianPackage: 'util-linux', purpose: 'sets up addresses inside pods' },
];

/** The programs of `REQUIRED_NETWORK_PROGRAMS` that are not installed. */
export async function missingNetworkPrograms(): Promise<readonly MissingProgram[]> {
  const found = await Promise.all(REQUIRED_NETWORK_PROGRAMS.map(({ program }) => findProgram(program)));
  return REQUIRED_NETWORK_PROGRAMS.filter((_, index) => found[index] === undefined);
}

/** Throws an `Error` that says in one sentence what is missing for networks of this machine. */
export async function requireNetworkHost(): Promise<void> {
  if (process.platform !== 'linux') throw new Error(`pod networks need Linux; this is ${process.platform}`);
  if (process.getuid?.() !== 0) throw new Error('pod networks need root: start k8ts as root');
  const missing = await missingNetworkPrograms();
  if (missing.length === 0) return;
  const names = missing.map(({ program }) => program).join(', ');
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))].join(' ');
  throw new Error(`pod networks need ${names}, which this machine lacks (Debian: apt install ${packages})`);
}
