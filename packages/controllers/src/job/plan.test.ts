import type { batchv1, corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { NO_FAILURES, finishedAt, nextBackoffRecord, remainingBackoff } from './backoff.ts';
import type { BackoffRecord } from './backoff.ts';
import { COMPLETION_INDEX, Indexes } from './completion-indexes.ts';
import { failureVerdict } from './failure-policy.ts';
import { indexedPrefix } from './job-pods.ts';
import { TRACKING_FINALIZER, endOf, planPods, tally } from './plan.ts';
import type { JobView } from './plan.ts';
import { successMessage } from './success-policy.ts';
import { countReleased, finished, track } from './tracking.ts';

const NOW = Date.UTC(2030, 0, 1);
const at = (seconds: number): string => formatTime(NOW + seconds * 1000);

interface PodParts {
  readonly phase?: corev1.PodPhase;
  readonly index?: number;
  readonly leaving?: boolean;
  readonly finalizer?: boolean;
  readonly endedAt?: number;
  readonly exitCode?: number;
  readonly restarts?: number;
  readonly failures?: number;
  readonly conditions?: readonly corev1.PodCondition[];
}

const pod = (name: string, parts: PodParts = {}): corev1.Pod => {
  const { phase = 'Running', index, leaving = false, finalizer = true, endedAt, exitCode = 1 } = parts;
  const { restarts = 0, failures, conditions = [] } = parts;
  return {
    metadata: {
      name,
      namespace: 'ns',
      uid: name,
      creationTimestamp: at(-1000),
      annotations: {
        ...(index === undefined ? {} : { [COMPLETION_INDEX]: String(index) }),
        ...(failures === undefined
          ? {}
          : { 'batch.kubernetes.io/job-index-failure-count': String(failures) }),
      },
      ...(leaving ? { deletionTimestamp: at(0), deletionGracePeriodSeconds: 30 } : {}),
      ...(finalizer ? { finalizers: [TRACKING_FINALIZER] } : {}),
    },
    spec: { containers: [], nodeName: 'n' },
    status: {
      phase,
      conditions,
      containerStatuses: [
        {
          name: 'c',
          ready: false,
          restartCount: restarts,
          image: '',
          imageID: '',
          ...(endedAt === undefined ? {} : { state: { terminated: { exitCode, finishedAt: at(endedAt) } } }),
        },
      ],
    },
  };
};

const view = (
  spec: Partial<batchv1.JobSpec>,
  pods: readonly corev1.Pod[],
  status: batchv1.JobStatus = {},
  released: readonly string[] = [],
): JobView => ({
  job: {
    metadata: { name: 'j', namespace: 'ns', uid: 'j' },
    spec: { parallelism: 2, backoffLimit: 6, template: { spec: { containers: [] } }, ...spec },
    status,
  },
  pods,
  released: new Set(released),
  now: NOW,
});
const INDEXED = { completionMode: 'Indexed', completions: 4 } as const;

describe('indexes', () => {
  it.each([
    [[], '', 0],
    [[0], '0', 1],
    [[3, 1], '1,3', 2],
    [[0, 1], '0,1', 2],
    [[2, 0, 1, 1], '0-2', 3],
    [[0, 1, 2, 4, 5, 7], '0-2,4,5,7', 6],
  ])('%j are %s', (indexes, text, total) => {
    const set = Indexes.of(indexes);
    expect([set.toString(), set.total]).toEqual([text, total]);
    expect(Indexes.parse(text, 10).toString()).toBe(text);
    for (let index = 0; index < 9; index++) expect(set.has(index)).toBe(indexes.includes(index));
  });

  it('reads what is in range, and skips the rest', () => {
    expect(Indexes.parse('0-2,x,3,8-20,30', 10).toString()).toBe('0-3,8,9');
    expect(Indexes.parse(undefined, 10).total).toBe(0);
  });

  it('finds what is missing, and what is common', () => {
    const set = Indexes.parse('1,3-5', 10);
    expect(set.firstMissing(3, 10)).toEqual([0, 2, 6]);
    expect(set.firstMissing(9, 7)).toEqual([0, 2, 6]);
    expect(set.overlap(Indexes.parse('0-3,5-9', 10))).toBe(3);
    expect(set.union(Indexes.of([2])).toString()).toBe('1-5');
  });
});

describe('the failure policy', () => {
  const rules: batchv1.PodFailurePolicyRule[] = [
    { action: 'Count', onExitCodes: { containerName: 'other', operator: 'In', values: [1] } },
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    { action: 'FailIndex', onExitCodes: { operator: 'In', values: [1, 2] } },
    { action: 'FailJob', onExitCodes: { containerName: 'c', operator: 'NotIn', values: [5] } },
  ];
  const evicted = [{ type: 'DisruptionTarget', status: 'True' }] as const;
  it.each<[string, PodParts, string | undefined, boolean]>([
    ['an eviction', { conditions: evicted, endedAt: 0, exitCode: 7 }, 'Ignore', false],
    ['a listed code', { endedAt: 0, exitCode: 2 }, 'FailIndex', true],
    ['another code', { endedAt: 0, exitCode: 9 }, 'FailJob', true],
    ['a code that is excepted', { endedAt: 0, exitCode: 5 }, undefined, true],
    ['no code', {}, undefined, true],
    ['code 0', { endedAt: 0, exitCode: 0 }, undefined, true],
  ])('%s', (_, parts, action, counts) => {
    expect(failureVerdict({ rules }, pod('p', { phase: 'Failed', ...parts }))).toMatchObject({
      action,
      counts,
    });
  });

  it('says why the job fails', () => {
    const conditions = [{ type: 'ConfigIssue', status: 'True' }] as const;
    const policy: batchv1.PodFailurePolicy = {
      rules: [{ action: 'FailJob', onPodConditions: [{ type: 'ConfigIssue' }] }],
    };
    expect(failureVerdict(policy, pod('p', { conditions })).message).toBe(
      'Pod ns/p has condition ConfigIssue matching FailJob rule at index 0',
    );
  });
});

describe('the success policy', () => {
  const met = (rule: batchv1.SuccessPolicyRule, succeeded: string): boolean =>
    successMessage({ rules: [rule] }, 10, Indexes.parse(succeeded, 10)) !== undefined;
  it.each<[batchv1.SuccessPolicyRule, string, boolean]>([
    [{ succeededCount: 2 }, '3', false],
    [{ succeededCount: 2 }, '3,7', true],
    [{ succeededIndexes: '1-3' }, '1,3,5', false],
    [{ succeededIndexes: '1-3' }, '0-4', true],
    [{ succeededIndexes: '1-3', succeededCount: 2 }, '1,3', true],
    [{ succeededIndexes: '1-3', succeededCount: 2 }, '1,4,5', false],
    [{ succeededCount: 0 }, '', false],
  ])('%j with %s: %s', (rule, succeeded, expected) => {
    expect(met(rule, succeeded)).toBe(expected);
  });
});

describe('the back-off', () => {
  it.each<[BackoffRecord, number]>([
    [NO_FAILURES, 0],
    [{ failures: 1, lastFailure: NOW }, 10_000],
    [{ failures: 2, lastFailure: NOW - 5000 }, 15_000],
    [{ failures: 2, lastFailure: NOW - 25_000 }, 0],
    [{ failures: 7, lastFailure: NOW }, 600_000],
    [{ failures: 5000, lastFailure: NOW }, 600_000],
  ])('after %j is %d', (record, expected) => {
    expect(remainingBackoff(record, NOW)).toBe(expected);
  });

  it('counts failures since the last success', () => {
    const before = { failures: 3, lastFailure: NOW - 90_000 };
    const ended = (seconds: number) => pod('p', { endedAt: seconds });
    expect(nextBackoffRecord(before, [], [])).toBe(before);
    expect(nextBackoffRecord(before, [], [ended(-3), ended(-5)])).toEqual({
      failures: 5,
      lastFailure: NOW - 3000,
    });
    expect(nextBackoffRecord(before, [ended(-4)], [ended(-3), ended(-5)])).toEqual({
      failures: 1,
      lastFailure: NOW - 3000,
    });
    expect(nextBackoffRecord(before, [ended(-1)], [])).toEqual(NO_FAILURES);
  });

  it('knows when a pod ended', () => {
    expect(finishedAt(pod('p', { endedAt: -7 }))).toBe(NOW - 7000);
    const unready = { type: 'Ready', status: 'False', lastTransitionTime: at(-8) } as const;
    expect(finishedAt(pod('p', { conditions: [unready] }))).toBe(NOW - 8000);
    expect(finishedAt(pod('p', { leaving: true }))).toBe(NOW - 30_000);
    expect(finishedAt(pod('p'))).toBe(NOW - 1_000_000);
  });
});

describe('the plan', () => {
  const plan = (...args: Parameters<typeof view>) => {
    const seen = view(...args);
    const counts = tally(seen);
    const made = planPods(seen, counts, nextBackoffRecord(NO_FAILURES, [], counts.newFailed));
    if (made.action === 'delete') return `delete ${made.pods.map(({ metadata }) => metadata.name).join(',')}`;
    if (made.action === 'create') return `create ${made.indexes?.join(',') ?? made.count}`;
    return made.action === 'wait' ? `wait ${made.delay}` : 'none';
  };
  const succeeded = (name: string, index?: number) =>
    pod(name, { phase: 'Succeeded', ...(index === undefined ? {} : { index }) });

  it.each<[string, Parameters<typeof view>, string]>([
    ['as many as may run', [{ completions: 5 }, []], 'create 2'],
    ['not more than are needed', [{ completions: 1 }, []], 'create 1'],
    ['those that have succeeded do not run again', [{ completions: 5 }, [], { succeeded: 4 }], 'create 1'],
    ['nor those not yet counted', [{ completions: 2 }, [succeeded('a'), pod('b')]], 'none'],
    ['too many', [{ parallelism: 1 }, [pod('a'), pod('b', { phase: 'Pending' })]], 'delete b'],
    ['without a number, none after the first success', [{}, [succeeded('a'), pod('b')]], 'none'],
    ['without a number, as many as may run', [{ parallelism: 3 }, [pod('b')]], 'create 2'],
    ['none while suspended', [{ suspend: true }, [pod('a')]], 'delete a'],
    [
      'after a failure later',
      [{ completions: 1 }, [pod('a', { phase: 'Failed', endedAt: -4 })]],
      'wait 6000',
    ],
    ['the first indexes', [INDEXED, []], 'create 0,1'],
    ['the next indexes', [INDEXED, [pod('a', { index: 1 })], { completedIndexes: '0' }], 'create 2'],
    [
      'doubled indexes',
      [INDEXED, [pod('a', { index: 1 }), pod('b', { index: 1, phase: 'Pending' })]],
      'delete b',
    ],
    ['pods without a valid index', [INDEXED, [pod('a'), pod('b', { index: 9 })]], 'delete a,b'],
    [
      'indexes that failed are not tried again',
      [{ ...INDEXED, backoffLimitPerIndex: 0 }, [], { failedIndexes: '0,2' }],
      'create 1,3',
    ],
    [
      'an index waits after a failure, others do not',
      [
        { ...INDEXED, completions: 2, backoffLimitPerIndex: 3 },
        [pod('a', { phase: 'Failed', index: 0, failures: 1, endedAt: -5 })],
      ],
      'create 1',
    ],
    [
      'and is tried again afterwards',
      [
        { ...INDEXED, completions: 1, backoffLimitPerIndex: 3 },
        [pod('a', { phase: 'Failed', index: 0, failures: 1, endedAt: -5 })],
      ],
      'wait 15000',
    ],
    [
      'one that leaves is replaced at once',
      [{ completions: 1, podReplacementPolicy: 'TerminatingOrFailed' }, [pod('a', { leaving: true })]],
      'create 1',
    ],
    [
      'or when it has ended',
      [{ completions: 1, podReplacementPolicy: 'Failed' }, [pod('a', { leaving: true })]],
      'none',
    ],
  ])('%s', (_, args, expected) => {
    expect(plan(...args)).toBe(expected);
  });
});

describe('the end', () => {
  const reason = (...args: Parameters<typeof view>) => {
    const seen = view(...args);
    return endOf(seen, tally(seen))?.reason;
  };
  const failed = (name: string, index?: number) =>
    pod(name, { phase: 'Failed', endedAt: 0, ...(index === undefined ? {} : { index }) });
  const onFailure = { spec: { containers: [], restartPolicy: 'OnFailure' } } as const;
  it.each<[string, Parameters<typeof view>, string | undefined]>([
    ['failures up to the limit', [{ backoffLimit: 1 }, [failed('a')]], undefined],
    ['more failures', [{ backoffLimit: 1 }, [failed('a')], { failed: 1 }], 'BackoffLimitExceeded'],
    [
      'those counted are not counted again',
      [{ backoffLimit: 1 }, [failed('a')], { uncountedTerminatedPods: { failed: ['a'] } }],
      undefined,
    ],
    ['nor those released', [{ backoffLimit: 0 }, [failed('a')], {}, ['a']], undefined],
    [
      'restarts',
      [{ backoffLimit: 3, template: onFailure }, [pod('a', { restarts: 2 }), pod('b', { restarts: 1 })]],
      'BackoffLimitExceeded',
    ],
    ['time', [{ activeDeadlineSeconds: 10 }, [], { startTime: at(-10) }], 'DeadlineExceeded'],
    ['not yet', [{ activeDeadlineSeconds: 10 }, [], { startTime: at(-9) }], undefined],
    [
      'not while suspended',
      [{ activeDeadlineSeconds: 10, suspend: true }, [], { startTime: at(-99) }],
      undefined,
    ],
    [
      'failed indexes, when all are done',
      [{ ...INDEXED, backoffLimitPerIndex: 0 }, [failed('a', 3)], { completedIndexes: '0-2' }],
      'FailedIndexes',
    ],
    [
      'not while others are left',
      [{ ...INDEXED, backoffLimitPerIndex: 0 }, [failed('a', 3)], { completedIndexes: '0,1' }],
      undefined,
    ],
    [
      'too many failed indexes',
      [
        { ...INDEXED, backoffLimitPerIndex: 0, maxFailedIndexes: 1 },
        [failed('a', 3)],
        { failedIndexes: '0' },
      ],
      'MaxFailedIndexesExceeded',
    ],
    [
      'what was decided stays',
      [{}, [], { conditions: [{ type: 'FailureTarget', status: 'True', reason: 'Why', message: '' }] }],
      'Why',
    ],
  ])('%s', (_, args, expected) => {
    expect(reason(...args)).toBe(expected);
  });
});

describe('tracking', () => {
  it('lists what ended, and counts it once its finalizer is gone', () => {
    const seen = view(
      { completions: 3 },
      [
        pod('a', { phase: 'Succeeded' }),
        pod('b', { phase: 'Failed' }),
        pod('c'),
        pod('old', { phase: 'Succeeded', finalizer: false }),
      ],
      { uncountedTerminatedPods: { succeeded: ['old', 'lost'] }, succeeded: 1 },
    );
    const { status, release, withFinalizer } = track(seen, tally(seen), seen.job.status ?? {}, undefined);
    expect(status).toMatchObject({
      succeeded: 3,
      failed: 0,
      uncountedTerminatedPods: { succeeded: ['a'], failed: ['b'] },
    });
    expect(release.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
    expect([...withFinalizer]).toEqual(['a', 'b', 'c']);
    const next = countReleased(status, new Set(['c', 'b']));
    expect(next).toMatchObject({ succeeded: 4, failed: 0, uncountedTerminatedPods: { failed: ['b'] } });
  });

  it('takes every pod of a job that fails as failed, of one that succeeds not', () => {
    const seen = view({}, [pod('a'), pod('b', { leaving: true })]);
    const end = (success: boolean) =>
      track(seen, tally(seen), {}, { success, reason: 'R', message: '' }).status.uncountedTerminatedPods;
    expect(end(false)).toEqual({ failed: ['a', 'b'] });
    expect(end(true)).toEqual({ failed: ['b'] });
  });

  it('lists so many at a time only', () => {
    const pods = Array.from({ length: 600 }, (_, i) => pod(`p${i}`, { phase: 'Succeeded' }));
    const seen = view({ completions: 600 }, pods);
    const { partial, release } = track(seen, tally(seen), {}, undefined);
    expect([partial, release.length]).toEqual([true, 500]);
  });

  it('finishes when all is counted and gone', () => {
    const end = { success: true, reason: 'R', message: 'M' };
    expect(finished({ uncountedTerminatedPods: { failed: ['a'] } }, end, NOW)).toBeUndefined();
    expect(finished({ terminating: 1 }, end, NOW)).toBeUndefined();
    expect(finished({ terminating: 0 }, end, NOW)).toMatchObject({
      completionTime: at(0),
      conditions: [{ type: 'Complete', status: 'True', reason: 'R', message: 'M', lastProbeTime: at(0) }],
    });
  });
});

it('names pods by their index, within what a name may have', () => {
  expect(indexedPrefix('job', 3)).toBe('job-3-');
  expect(indexedPrefix('x'.repeat(63), 12)).toBe(`${'x'.repeat(54)}-12-`);
});
