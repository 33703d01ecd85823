import { expect, test } from 'vitest';

import { RevisionLog } from './revision-log.ts';
import { nextVersion, type Version } from './version.ts';

const version = (revision: number, sub = 0): Version =>
  nextVersion(undefined, `k${sub}`, revision, sub, new Uint8Array(0), 0n);
const revisions = (versions: readonly Version[]): number[] => versions.map(({ modRevision }) => modRevision);

function filled(from: number, to: number): RevisionLog {
  const log = new RevisionLog();
  for (let revision = from; revision <= to; revision++) log.append(version(revision));
  return log;
}

test('slices between revisions, across chunks', () => {
  const log = filled(2, 10_001);
  expect(revisions(log.slice(1, 3, 10))).toEqual([2, 3]);
  expect(revisions(log.slice(4095, 4105, 1e9))).toEqual([
    4095, 4096, 4097, 4098, 4099, 4100, 4101, 4102, 4103, 4104, 4105,
  ]);
  expect(revisions(log.slice(9999, 20_000, 10))).toEqual([9999, 10_000, 10_001]);
  expect(revisions(log.slice(50, 10_000, 3))).toEqual([50, 51, 52]);
  expect(log.slice(20_000, 30_000, 10)).toEqual([]);
});

test('never splits a revision', () => {
  const log = new RevisionLog();
  log.append(version(2));
  for (let sub = 0; sub < 5; sub++) log.append(version(3, sub));
  log.append(version(4));
  expect(revisions(log.slice(2, 9, 2))).toEqual([2, 3, 3, 3, 3, 3]);
  expect(revisions(log.slice(3, 9, 1))).toEqual([3, 3, 3, 3, 3]);
});

test('forgets from both ends', () => {
  const log = filled(2, 9000);
  log.trimBefore(5000);
  expect(revisions(log.slice(1, 5001, 10))).toEqual([5000, 5001]);
  expect(log.popAfter(8999)?.modRevision).toBe(9000);
  expect(log.popAfter(8999)).toBeUndefined();
  log.append(version(9000));
  log.trimBefore(9001);
  expect(log.slice(1, 1e9, 1e9)).toEqual([]);
  expect(log.popAfter(0)).toBeUndefined();
  log.append(version(9001));
  expect(revisions(log.slice(1, 1e9, 1e9))).toEqual([9001]);
});
