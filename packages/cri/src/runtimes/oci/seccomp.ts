import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import type { LinuxContainerSecurityContext } from '../../contract.ts';
import { parseJson, record } from '../../images/image-config.ts';
import type { Host } from './host.ts';
import { runtimeDefaultSeccomp } from './seccomp-default.ts';

const PROFILE_LIMIT = 1024 * 1024;

/** The seccomp part of the specification; undefined: unconfined. Throws when a profile is asked for that cannot be had. */
export async function seccompProfile(
  security: LinuxContainerSecurityContext,
  host: Host,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const profile = security.seccompProfile;
  if (profile === undefined || profile.type === 'Unconfined' || security.privileged) return undefined;
  if (!host.seccomp)
    throw new Error('seccomp is not supported by the kernel, but the container asks for a profile');
  if (profile.type === 'RuntimeDefault') return runtimeDefaultSeccomp(security);
  const path = profile.localhostRef ?? '';
  if (!isAbsolute(path)) throw new Error(`seccomp profile ${JSON.stringify(path)} is not an absolute path`);
  const text = await readFile(path, 'utf8');
  if (text.length > PROFILE_LIMIT) throw new Error(`seccomp profile ${path} is too large`);
  return record(parseJson(text), `seccomp profile ${path}`);
}
