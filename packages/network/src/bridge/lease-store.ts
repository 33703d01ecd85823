import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { PortMapping } from '@k8ts/cri';

/** What a sandbox holds of the network, as it stands on disk. */
export interface Lease {
  readonly version: 1;
  readonly sandboxId: string;
  /** For people who look at the file. */
  readonly pod: string;
  /** One of each family of the node's pod CIDRs. */
  readonly ips: readonly string[];
  /** The host's end of the veth pair. */
  readonly interfaceName: string;
  readonly portMappings: readonly PortMapping[];
  /** Counts up: where the search for the next free address goes on after a restart. */
  readonly sequence: number;
}

const SUFFIX = '.json';

/**
 * One file per sandbox. A lease is written aside and renamed into place, so after a kill it is there whole or not at all;
 * it needs no sync, for a machine that lost its power has lost its pods too.
 */
export class LeaseStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** All leases; files that make no sense are removed and given to `onDamaged`. */
  async load(onDamaged: (file: string) => void): Promise<readonly Lease[]> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const leases: Lease[] = [];
    for (const file of await readdir(this.#directory)) {
      const path = join(this.#directory, file);
      if (!file.endsWith(SUFFIX)) {
        await rm(path, { force: true }); // written aside, never renamed
        continue;
      }
      const lease = parseLease(await readFile(path, 'utf8'));
      if (lease !== undefined && `${lease.sandboxId}${SUFFIX}` === file) leases.push(lease);
      else {
        onDamaged(path);
        await rm(path, { force: true });
      }
    }
    return leases.sort((one, other) => one.sequence - other.sequence);
  }

  async save(lease: Lease): Promise<void> {
    const path = this.#path(lease.sandboxId);
    await writeFile(`${path}.new`, `${JSON.stringify(lease)}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async remove(sandboxId: string): Promise<void> {
    await rm(this.#path(sandboxId), { force: true });
  }

  async removeAll(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #path(sandboxId: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(sandboxId)) {
      throw new Error(`invalid sandbox id ${JSON.stringify(sandboxId)}`);
    }
    return join(this.#directory, `${sandboxId}${SUFFIX}`);
  }
}

function parseLease(text: string): Lease | undefined {
  try {
    const lease = JSON.parse(text) as Lease;
    const sound =
      lease.version === 1 &&
      typeof lease.sandboxId === 'string' &&
      typeof lease.interfaceName === 'string' &&
      Number.isSafeInteger(lease.sequence) &&
      Array.isArray(lease.ips) &&
      Array.isArray(lease.portMappings);
    return sound ? lease : undefined;
  } catch {
    return undefined;
  }
}
