import type { batchv1, Draft } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { create, update, type Json } from '../testing/strategy-calls.ts';
import { cronJobStrategy } from './cron-job.ts';
import { countIndexes, firstOverlap } from './indexes.ts';
import { jobStrategy } from './job.ts';

const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'busybox' }] } };
const job = (spec: Json = {}, metadata: Json = {}): Json => ({
  metadata: { name: 'j', namespace: 'default', ...metadata },
  spec: { template, ...spec },
});
const cronJob = (spec: Json = {}, metadata: Json = {}): Json => ({
  metadata: { name: 'cj', namespace: 'default', ...metadata },
  spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template } }, ...spec },
});

describe('jobs', () => {
  test('defaults, labels and selector', async () => {
    const { object, errors } = await create(jobStrategy, job());
    const labels = {
      'batch.kubernetes.io/controller-uid': 'uid-1',
      'batch.kubernetes.io/job-name': 'j',
      'controller-uid': 'uid-1',
      'job-name': 'j',
    };
    expect(errors).toEqual([]);
    expect(object.spec).toMatchObject({
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      podReplacementPolicy: 'TerminatingOrFailed',
      selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': 'uid-1' } },
      template: { metadata: { labels } },
    });
    expect(object.metadata.labels).toEqual(labels);
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'pods that always restart',
      job({ template: { spec: { containers: [{ name: 'c', image: 'i' }] } } }),
      ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ],
    [
      'a selector of its own',
      job({ selector: { matchLabels: { a: 'b' } } }),
      [
        'spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"uid-1","a":"b"}}: `selector` not auto-generated',
        'spec.template.metadata.labels: Invalid value: {"job-name":"j","batch.kubernetes.io/job-name":"j","controller-uid":"uid-1","batch.kubernetes.io/controller-uid":"uid-1"}: `selector` does not match template `labels`',
      ],
    ],
    [
      'indexes without number',
      job({ completionMode: 'Indexed', completions: undefined, parallelism: 2 }),
      ['spec.completions: Required value: when completion mode is Indexed'],
    ],
    [
      'a failure policy that says nothing',
      job({ podFailurePolicy: { rules: [{ action: 'Ignore' }] } }),
      [
        'spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required',
      ],
    ],
    [
      'an action that is none',
      job({
        podFailurePolicy: { rules: [{ action: 'X', onPodConditions: [{ type: 'DisruptionTarget' }] }] },
      }),
      [
        'spec.podFailurePolicy.rules[0].action: Unsupported value: "X": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
      ],
    ],
    [
      'a negative parallelism',
      job({ parallelism: -1 }),
      ['spec.parallelism: Invalid value: -1: must be greater than or equal to 0'],
    ],
  ])('are refused with %s', async (_, object, expected) => {
    expect((await create(jobStrategy, object)).errors).toEqual(expected);
  });

  const stored = async (spec: Json = {}): Promise<batchv1.Job> =>
    (await create(jobStrategy, job(spec))).object;

  test('most of the spec stays', async () => {
    const changed = async (
      change: (spec: Draft<batchv1.JobSpec>) => void,
      spec?: Json,
    ): Promise<readonly string[]> =>
      (
        await update(jobStrategy, await stored(spec), (next) => {
          change(next.spec);
        })
      ).errors;
    expect(await changed((spec) => (spec.parallelism = 3))).toEqual([]);
    expect(await changed((spec) => (spec.suspend = true))).toEqual([]);
    expect(await changed((spec) => (spec.completions = 3))).toEqual([
      'spec.completions: Invalid value: 3: field is immutable',
    ]);
    const image = (spec: Draft<batchv1.JobSpec>): void => {
      (spec.template.spec?.containers[0] as { image: string }).image = 'other';
    };
    expect((await changed(image))[0]).toMatch(/^spec\.template: Invalid value: .*: field is immutable$/s);
    const cpu = (spec: Draft<batchv1.JobSpec>): void => {
      (spec.template.spec?.containers[0] as { resources: unknown }).resources = { requests: { cpu: '1' } };
      (spec.template.spec as { nodeSelector: unknown }).nodeSelector = { zone: 'a' };
    };
    expect(await changed(cpu)).toHaveLength(1);
    expect(await changed(cpu, { suspend: true })).toEqual([]);
  });

  test('status', async () => {
    const old = await stored();
    const set = async (status: Json): Promise<readonly string[]> =>
      (
        await update(
          jobStrategy,
          old,
          (next) => {
            next.status = status;
          },
          'status',
        )
      ).errors;
    expect(await set({ active: 1, ready: 2 })).toEqual([
      'status.ready: Invalid value: 2: cannot set more ready pods than active',
    ]);
    expect(await set({ conditions: [{ type: 'Complete', status: 'True' }] })).toEqual([
      'status.completionTime: Required value: completionTime is required for Complete jobs',
      'status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition',
      'status.startTime: Required value: startTime is required for finished job',
    ]);
    expect(
      await set({
        startTime: '2026-01-01T00:00:00Z',
        completionTime: '2026-01-01T00:00:01Z',
        succeeded: 1,
        conditions: [
          { type: 'SuccessCriteriaMet', status: 'True' },
          { type: 'Complete', status: 'True' },
        ],
      }),
    ).toEqual([]);
  });
});

describe('lists of indexes', () => {
  test('are counted', () => {
    expect(countIndexes('1,3-5,7', 10)).toBe(5);
    expect(() => countIndexes('3,1', 10)).toThrow('non-increasing order, previous: 3, current: 1');
    expect(() => countIndexes('10', 10)).toThrow('too large index: "10"');
    expect(() => countIndexes('a', 10)).toThrow('cannot convert string to integer for index: "a"');
  });

  test('overlap', () => {
    expect(firstOverlap('1,3-5', '0,4', 10)).toBe(4);
    expect(firstOverlap('1,3', '0,2', 10)).toBeUndefined();
  });
});

describe('cron jobs', () => {
  test('defaults', async () => {
    const { object, errors } = await create(cronJobStrategy, cronJob());
    expect(errors).toEqual([]);
    expect(object.spec).toMatchObject({
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    });
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'a schedule of four fields',
      cronJob({ schedule: '* * * *' }),
      ['spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]'],
    ],
    [
      'a time zone in the schedule',
      cronJob({ schedule: 'TZ=UTC 0 * * * *' }),
      [
        'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
      ],
    ],
    [
      'a time zone that is none',
      cronJob({ timeZone: 'Mars/Base' }),
      ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base'],
    ],
    [
      'a long name',
      cronJob({}, { name: 'a'.repeat(53) }),
      [`metadata.name: Invalid value: "${'a'.repeat(53)}": must be no more than 52 characters`],
    ],
    [
      'a selector',
      cronJob({ jobTemplate: { spec: { template, selector: { matchLabels: { a: 'b' } } } } }),
      [
        'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated',
      ],
    ],
  ])('are refused with %s', async (_, object, expected) => {
    expect((await create(cronJobStrategy, object)).errors).toEqual(expected);
  });
});
