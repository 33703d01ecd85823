import type { Clock } from '@k8ts/base';

import type { Lease } from '../../contract.ts';
import { emptyState, type StoreState } from '../../mvcc/store-state.ts';
import type { Environment } from './environment.ts';
import {
  decodeNumber,
  decodeVersion,
  leaseIdOf,
  LEASES_END,
  LEASES_START,
  type Setting,
  settingKey,
  VERSIONS_END,
  VERSIONS_START,
} from './row.ts';

const LONGEST_TURN = 4;
const ROWS_PER_LOOK = 64;

/** Reads the log of versions from beginning to end and builds the index; yields on the way. */
export async function recover(environment: Environment, clock: Clock): Promise<StoreState> {
  const compactRevision = setting(environment, 'compactRevision');
  const { index, log, revision: first } = emptyState();
  let revision = Math.max(first, compactRevision);
  let rows = 0;
  let turn = clock.monotonic();
  for (const { key, value } of environment.getRange({ start: VERSIONS_START, end: VERSIONS_END })) {
    const version = decodeVersion(key, value);
    version.older = index.get(version.key);
    index.set(version);
    if (version.modRevision >= compactRevision) log.append(version);
    revision = Math.max(revision, version.modRevision);
    if (++rows % ROWS_PER_LOOK === 0 && clock.monotonic() - turn > LONGEST_TURN) {
      await clock.yield();
      turn = clock.monotonic();
    }
  }
  const leases: Lease[] = [];
  for (const { key, value } of environment.getRange({ start: LEASES_START, end: LEASES_END }))
    leases.push({ id: leaseIdOf(key), ttl: decodeNumber(value) });
  const sweepPending = setting(environment, 'sweptRevision') < compactRevision;
  return { index, log, revision, compactRevision, leases, sweepPending };
}

function setting(environment: Environment, name: Setting): number {
  const value = environment.getBinary(settingKey(name));
  return value === undefined ? 0 : decodeNumber(value);
}
