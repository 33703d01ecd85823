/** After k8s.io/apiserver/plugin/pkg/audit/buffered/buffered_test.go and truncate/truncate_test.go. */
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '@k8ts/base';
import type { AuditEvent } from './audit-event.ts';
import { bufferedBackend, type AuditBatching } from './buffered-backend.ts';
import type { AuditBackend } from './contract.ts';
import { auditEvent } from './testing/audit-event.ts';
import { truncatingBackend } from './truncating-backend.ts';

const BATCHING: AuditBatching = {
  bufferSize: 10,
  maxBatchSize: 2,
  maxBatchWait: 1_000,
  throttleEnable: false,
  throttleQps: 0,
  throttleBurst: 0,
};

interface Loss {
  readonly plugin: string;
  readonly message: string;
  readonly ids: readonly string[];
}

/** A back end that keeps what it is given, and one around it that buffers. */
function buffered(
  given: Partial<AuditBatching> = {},
  concurrent = true,
  answer: () => boolean | Promise<boolean> = () => true,
) {
  const clock = new VirtualClock();
  const batches: string[][] = [];
  const losses: Loss[] = [];
  let isStopped = false;
  const delegate: AuditBackend = {
    process(events) {
      batches.push(idsOf(events));
      return answer();
    },
    stop: () => {
      isStopped = true;
      return Promise.resolve();
    },
  };
  const backend = bufferedBackend({
    delegate,
    batching: { ...BATCHING, ...given },
    concurrent,
    clock,
    reportLoss: (plugin, error, events) =>
      losses.push({ plugin, message: String(error), ids: idsOf(events) }),
  });
  const put = (...ids: string[]): boolean =>
    ids.map((auditID) => backend.process([auditEvent({ auditID })])).every((taken) => taken === true);
  return { clock, batches, losses, backend, put, isStopped: () => isStopped };
}

function idsOf(events: readonly AuditEvent[]): string[] {
  return events.map(({ auditID }) => auditID);
}

/** Everything that can happen without time going by has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('batches', () => {
  test('leave when they are full, and otherwise when nothing more comes in time', async () => {
    const { batches, put, clock } = buffered();
    expect(put('a', 'b', 'c')).toBe(true);
    await settled();
    expect(batches).toEqual([['a', 'b']]);
    await clock.advance(999);
    expect(batches).toHaveLength(1);
    await clock.advance(1);
    await settled();
    expect(batches).toEqual([['a', 'b'], ['c']]);
  });

  test('of one event leave at once', async () => {
    const { batches, put } = buffered({ maxBatchSize: 1, maxBatchWait: 0 });
    put('a', 'b', 'c');
    await settled();
    expect(batches).toEqual([['a'], ['b'], ['c']]);
  });

  test('are throttled', async () => {
    const throttle = { throttleEnable: true, throttleQps: 1, throttleBurst: 2, maxBatchSize: 1 };
    const { batches, put, clock } = buffered(throttle);
    put('a', 'b', 'c', 'd');
    await settled();
    expect(batches).toEqual([['a'], ['b']]);
    await clock.advance(1_000);
    await settled();
    expect(batches).toEqual([['a'], ['b'], ['c']]);
    await clock.advance(1_000);
    await settled();
    expect(batches).toHaveLength(4);
  });

  test.each([
    [true, [['a'], ['b']]],
    [false, [['a']]],
  ])('while others are on their way: %s', async (concurrent, expected) => {
    const { batches, put } = buffered({ maxBatchSize: 1 }, concurrent, () => new Promise(() => undefined));
    put('a', 'b');
    await settled();
    expect(batches).toEqual(expected);
  });
});

test('what finds the buffer full is lost, and said to be', async () => {
  const { batches, losses, put, backend } = buffered({ bufferSize: 2, maxBatchSize: 100 });
  expect(put('a', 'b', 'c')).toBe(true);
  expect(backend.process([auditEvent({ auditID: 'd' }), auditEvent({ auditID: 'e' })])).toBe(true);
  expect(losses).toEqual([
    { plugin: 'buffered', message: 'Error: audit buffer queue blocked', ids: ['c'] },
    { plugin: 'buffered', message: 'Error: audit buffer queue blocked', ids: ['d', 'e'] },
  ]);
  await backend.stop();
  expect(batches).toEqual([['a', 'b']]);
});

test('a batch that would not fit into the buffer leaves when that is full', async () => {
  const { losses, put, batches } = buffered({ bufferSize: 2, maxBatchSize: 100, maxBatchWait: 60_000 });
  for (const id of ['a', 'b', 'c', 'd']) {
    put(id);
    await settled();
  }
  expect(batches).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  expect(losses).toEqual([]);
});

test('there is room again once a batch has left', async () => {
  const { losses, put, batches } = buffered({ bufferSize: 2, maxBatchSize: 2 });
  for (let round = 0; round < 5; round++) {
    put(`a${round}`, `b${round}`);
    await settled();
  }
  expect(losses).toEqual([]);
  expect(batches).toHaveLength(5);
});

test('a stop hands over what waits, then stops what is behind', async () => {
  const { batches, put, backend, isStopped, losses } = buffered({ maxBatchSize: 4 });
  put('a', 'b', 'c', 'd', 'e', 'f');
  await backend.stop();
  expect(batches).toEqual([
    ['a', 'b', 'c', 'd'],
    ['e', 'f'],
  ]);
  expect(isStopped()).toBe(true);
  put('late');
  expect(losses).toEqual([{ plugin: 'buffered', message: 'Error: audit backend shut down', ids: ['late'] }]);
});

test('a stop does not wait for the throttle, nor for more than is on its way', async () => {
  const throttle = { throttleEnable: true, throttleQps: 1, throttleBurst: 1, maxBatchSize: 1 };
  const { batches, put, backend } = buffered(throttle);
  put('a', 'b', 'c');
  await settled();
  expect(batches).toEqual([['a']]);
  await backend.stop();
  expect(batches).toEqual([['a'], ['b'], ['c']]);
});

test('what is on its way is bounded', async () => {
  const answers: (() => void)[] = [];
  const { batches, put, backend } = buffered(
    { bufferSize: 1_000, maxBatchSize: 1 },
    true,
    () => new Promise((resolve) => answers.push(() => resolve(true))),
  );
  put(...Array.from({ length: 150 }, (_, i) => String(i)));
  await settled();
  expect(batches).toHaveLength(100);
  answers[7]?.();
  await settled();
  expect(batches).toHaveLength(101);
  const stopped = backend.stop();
  while (batches.length < 150) {
    for (const answer of answers.splice(0)) answer();
    await settled();
  }
  for (const answer of answers) answer();
  await stopped;
});

test('many events pass without piling up', async () => {
  const { batches, put, backend, losses } = buffered({ bufferSize: 5_000, maxBatchSize: 1 }, false);
  const ids = Array.from({ length: 5_000 }, (_, i) => String(i));
  put(...ids);
  await backend.stop();
  expect(batches.flat()).toEqual(ids);
  expect(losses).toEqual([]);
});

describe('truncation', () => {
  const LARGE = JSON.stringify('A'.repeat(2_000));
  const given = { enabled: true, maxEventSize: 1_000, maxBatchSize: 1_500 };

  function truncating(answers: readonly (boolean | Promise<boolean>)[] = []) {
    const batches: (readonly AuditEvent[])[] = [];
    const losses: Loss[] = [];
    const delegate: AuditBackend = {
      process: (events) => answers[batches.push(events) - 1] ?? true,
      stop: () => Promise.resolve(),
    };
    const backend = truncatingBackend(delegate, given, (plugin, error, events) =>
      losses.push({ plugin, message: String(error), ids: idsOf(events) }),
    );
    return { backend, batches, losses };
  }

  test.each([
    ['nothing to take', auditEvent({}), false, false],
    ['a large request', auditEvent({ level: 'Request', requestObject: LARGE }), true, false],
    ['a large response', auditEvent({ level: 'RequestResponse', responseObject: LARGE }), true, false],
    ['large annotations', auditEvent({ level: 'Request', annotations: { a: LARGE } }), false, true],
    ['a large address at level Metadata', auditEvent({ requestURI: LARGE }), false, true],
  ])('%s', (_, event, isTruncated, isLost) => {
    const { backend, batches, losses } = truncating();
    expect(backend.process([event])).toBe(true);
    expect(losses.map(({ plugin, message }) => `${plugin}: ${message}`)).toEqual(
      isLost ? ['truncate: Error: event is too large even after truncating'] : [],
    );
    expect(batches).toHaveLength(isLost ? 0 : 1);
    if (isLost) return;
    expect(batches[0]?.[0]?.annotations).toEqual(
      isTruncated ? { ...event.annotations, 'audit.k8s.io/truncated': 'true' } : event.annotations,
    );
    expect(batches[0]?.[0]?.requestObject).toBeUndefined();
    expect(batches[0]?.[0]?.responseObject).toBeUndefined();
  });

  test('does not touch the event itself', () => {
    const event = Object.freeze(
      auditEvent({ level: 'Request', requestObject: LARGE, annotations: Object.freeze({ a: 'b' }) }),
    );
    const { backend, batches } = truncating();
    expect(backend.process([event])).toBe(true);
    expect(batches[0]?.[0]?.annotations).toEqual({ a: 'b', 'audit.k8s.io/truncated': 'true' });
    expect(event.annotations).toEqual({ a: 'b' });
  });

  test('divides what is too large together', async () => {
    const half = auditEvent({ requestURI: 'x'.repeat(400) });
    const { backend, batches } = truncating([true, Promise.resolve(false)]);
    expect(await backend.process([half, half, half])).toBe(false);
    expect(batches.map((batch) => batch.length)).toEqual([2, 1]);
  });
});
