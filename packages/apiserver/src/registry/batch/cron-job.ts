import { batchv1 } from '@k8ts/api';
import {
  cronScheduleProblem,
  exceedsBytes,
  invalidValue,
  isDNS1123Label,
  isTimeZone,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { cronJobColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { notNegative } from '../field-rules.ts';
import { generationRules, hostnameWarning, statusStrategy } from '../strategy-parts.ts';
import { setCronJobDefaults } from './defaults.ts';
import { jobSpecWarnings, validateJobSpec } from './job-spec.ts';

type CronJob = batchv1.CronJob;
type Spec = batchv1.CronJobSpec;

/** The names of its jobs have eleven characters more. */
const MAX_NAME_LENGTH = 52;
const CONCURRENCY = ['Allow', 'Forbid', 'Replace'];
const TEMPLATE = 'spec.jobTemplate.spec';

function validateSchedule({ schedule, timeZone }: Spec, old: Spec | undefined): FieldError[] {
  const path = 'spec.schedule';
  if (!schedule) return [required(path, '')];
  const errors: FieldError[] = [];
  const problem = cronScheduleProblem(schedule);
  if (problem !== undefined) errors.push(invalidValue(path, schedule, problem));
  if (!schedule.includes('TZ')) return errors;
  if (old?.schedule?.includes('TZ') !== true)
    errors.push(
      invalidValue(path, schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'),
    );
  else if (timeZone !== undefined)
    errors.push(invalidValue(path, schedule, 'cannot use both timeZone field and TZ or CRON_TZ in schedule'));
  return errors;
}

function validateTimeZone(zone: string | undefined): FieldError[] {
  const path = 'spec.timeZone';
  if (zone === undefined) return [];
  if (zone === '') return [invalidValue(path, zone, 'timeZone must be nil or non-empty string')];
  const isWellFormed = zone
    .split('/')
    .every((part) => part !== '.' && part !== '..' && /^(?!-)[A-Za-z.\-_0-9+]{1,14}$/.test(part));
  if (!isWellFormed) return [invalidValue(path, zone, `unknown time zone ${zone}`)];
  if (zone.toLowerCase() === 'local')
    return [
      invalidValue(
        path,
        zone,
        'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
      ),
    ];
  return isTimeZone(zone) ? [] : [invalidValue(path, zone, `unknown time zone ${zone}`)];
}

function validateJobTemplate({ jobTemplate }: Spec): FieldError[] {
  const spec = jobTemplate.spec;
  const errors = validateJobSpec(spec, TEMPLATE);
  if (spec.selector !== undefined)
    errors.push(invalidValue(`${TEMPLATE}.selector`, spec.selector, '`selector` will be auto-generated'));
  if (spec.manualSelector === true)
    errors.push(notSupported(`${TEMPLATE}.manualSelector`, true, ['nil', 'false']));
  return errors;
}

function validate({ spec }: CronJob, old?: CronJob): FieldError[] {
  const policy = spec.concurrencyPolicy;
  return [
    ...validateSchedule(spec, old?.spec),
    ...notNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds'),
    ...(old !== undefined && old.spec.timeZone === spec.timeZone ? [] : validateTimeZone(spec.timeZone)),
    ...(!policy
      ? [required('spec.concurrencyPolicy', '')]
      : CONCURRENCY.includes(policy)
        ? []
        : [notSupported('spec.concurrencyPolicy', policy, CONCURRENCY)]),
    ...validateJobTemplate(spec),
    ...notNegative(spec.successfulJobsHistoryLimit, 'spec.successfulJobsHistoryLimit'),
    ...notNegative(spec.failedJobsHistoryLimit, 'spec.failedJobsHistoryLimit'),
  ];
}

export const cronJobStrategy: Strategy<CronJob> = {
  type: batchv1.cronJobs,
  setDefaults: setCronJobDefaults,
  ...generationRules(batchv1.cronJobs),
  validate: (cronJob) => [
    ...validate(cronJob),
    ...(exceedsBytes(cronJob.metadata.name, MAX_NAME_LENGTH)
      ? [invalidValue('metadata.name', cronJob.metadata.name, 'must be no more than 52 characters')]
      : []),
  ],
  validateUpdate: validate,
  warnings({ metadata, spec }, old) {
    const wrong = old === undefined ? isDNS1123Label(metadata.name) : [];
    const changed = old === undefined || metadata.generation !== old.metadata.generation;
    return [
      ...(wrong.length > 0 ? [hostnameWarning('Pod names and hostnames', wrong)] : []),
      ...(changed ? jobSpecWarnings(spec.jobTemplate.spec, TEMPLATE) : []),
      ...(old !== undefined && spec.schedule.includes('TZ')
        ? [
            'cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details',
          ]
        : []),
    ];
  },
  subresources: { status: statusStrategy() },
  columns: cronJobColumns,
};
