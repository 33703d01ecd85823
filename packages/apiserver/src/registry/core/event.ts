/** Events: one storage, served as v1 and as events.k8s.io/v1, which names the same fields differently. */
import { corev1, type Draft, type eventsv1, type KubeObject } from '@k8ts/api';
import {
  FIELD_IMMUTABLE,
  invalidValue,
  isDNS1123Subdomain,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { eventColumns } from '../../printing/columns/core.ts';
import type { Conversion, Strategy, StrategyContext } from '../contract.ts';
import { byteLength, messages, qualifiedName } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';

type Event = corev1.Event;

const TIME_TO_LIVE_SECONDS = 3600;
const MAX_LENGTHS = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const;

const tooManyCharacters = (path: keyof typeof MAX_LENGTHS): FieldError =>
  invalidValue(path, '', `can have at most ${MAX_LENGTHS[path]} characters`);

const isStrict = (context: StrategyContext): boolean =>
  context.requestVersion?.group === 'events.k8s.io' && context.requestVersion.version === 'v1';

function validateAlways(event: Event, context: StrategyContext): FieldError[] {
  const errors: FieldError[] = [];
  const { namespace = '' } = event.metadata;
  const about = event.involvedObject?.namespace ?? '';
  const mismatch = invalidValue('involvedObject.namespace', about, 'does not match event.namespace');
  if (!event.eventTime) {
    const fits = about === '' ? namespace === '' || namespace === 'default' : namespace === about;
    if (!fits) errors.push(mismatch);
  } else {
    if (about === '' && namespace !== 'default' && namespace !== 'kube-system') errors.push(mismatch);
    const reporter =
      context.requestVersion?.group === 'events.k8s.io' ? 'reportingController' : 'reportingComponent';
    const { reportingComponent = '', reportingInstance = '', action = '', reason = '', message = '' } = event;
    if (reportingComponent === '') errors.push(required(reporter, ''));
    errors.push(...qualifiedName(reportingComponent, reporter));
    for (const [path, value] of Object.entries({ reportingInstance, action, reason })) {
      if (value === '') errors.push(required(path, ''));
      if (byteLength(value) > 128) errors.push(tooManyCharacters(path as keyof typeof MAX_LENGTHS));
    }
    if (byteLength(message) > MAX_LENGTHS.message) errors.push(tooManyCharacters('message'));
  }
  return [...errors, ...messages(isDNS1123Subdomain(namespace), namespace, 'namespace')];
}

function validateSeries({ series }: Event): FieldError[] {
  if (series === undefined) return [];
  return [
    ...((series.count ?? 0) < 2 ? [invalidValue('series.count', '', 'should be at least 2')] : []),
    ...(series.lastObservedTime ? [] : [required('series.lastObservedTime', '')]),
  ];
}

const UNSET = 'needs to be unset';

function validateNew(event: Event, context: StrategyContext): FieldError[] {
  const errors = validateAlways(event, context);
  if (!isStrict(context)) return errors;
  errors.push(...validateSeries(event));
  if (!event.eventTime) errors.push(required('eventTime', ''));
  if (event.type !== 'Normal' && event.type !== 'Warning')
    errors.push(invalidValue('type', '', `has invalid value: ${event.type ?? ''}`));
  for (const field of ['firstTimestamp', 'lastTimestamp', 'count'] as const)
    if (event[field]) errors.push(invalidValue(field, '', UNSET));
  if (event.source?.component || event.source?.host) errors.push(invalidValue('source', '', UNSET));
  return errors;
}

const KEPT = (
  [
    'involvedObject',
    'reason',
    'message',
    'source',
    'firstTimestamp',
    'lastTimestamp',
    'count',
    'type',
    'eventTime',
    'action',
    'related',
    'reportingComponent',
    'reportingInstance',
  ] as const
).map((field) => [field, fieldComparison(corev1.events, field)] as const);
const sameSeries = fieldComparison(corev1.events, 'series');

function validateChange(event: Event, old: Event, context: StrategyContext): FieldError[] {
  const errors = validateAlways(event, context);
  if (!isStrict(context)) return errors;
  if (!sameSeries(event.series, old.series)) errors.push(...validateSeries(event));
  for (const [field, equal] of KEPT) {
    if (equal(event[field], old[field])) continue;
    const path = field === 'reportingComponent' ? 'reportingController' : field;
    errors.push(invalidValue(path, event[field] ?? null, FIELD_IMMUTABLE));
  }
  return errors;
}

/** Pairs of field names, events.k8s.io first. */
const RENAMED: readonly (readonly [string, string])[] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
];

const TO_STORAGE: ReadonlyMap<string, string> = new Map(RENAMED);
const FROM_STORAGE: ReadonlyMap<string, string> = new Map(RENAMED.map(([events, core]) => [core, events]));

function renamed(object: object, names: ReadonlyMap<string, string>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(object)) result[names.get(name) ?? name] = value;
  return result;
}

const eventsConversion = (version: string): Conversion<Event> => ({
  toStorage: (object) => ({ ...renamed(object, TO_STORAGE), apiVersion: 'v1' }) as unknown as Draft<Event>,
  fromStorage: (object) =>
    ({ ...renamed(object, FROM_STORAGE), apiVersion: `events.k8s.io/${version}` }) as unknown as KubeObject &
      eventsv1.Event,
});

export const eventStrategy: Strategy<Event> = {
  type: corev1.events,
  timeToLive: TIME_TO_LIVE_SECONDS,
  allowCreateOnUpdate: true,
  validate: validateNew,
  validateUpdate: validateChange,
  selectableFields(event) {
    const { involvedObject, source, reportingComponent = '' } = event;
    return {
      'involvedObject.kind': involvedObject?.kind ?? '',
      'involvedObject.namespace': involvedObject?.namespace ?? '',
      'involvedObject.name': involvedObject?.name ?? '',
      'involvedObject.uid': involvedObject?.uid ?? '',
      'involvedObject.apiVersion': involvedObject?.apiVersion ?? '',
      'involvedObject.resourceVersion': involvedObject?.resourceVersion ?? '',
      'involvedObject.fieldPath': involvedObject?.fieldPath ?? '',
      reason: event.reason ?? '',
      reportingComponent,
      source: source?.component || reportingComponent,
      type: event.type ?? '',
    };
  },
  columns: eventColumns,
  conversions: {
    'events.k8s.io/v1': eventsConversion('v1'),
    'events.k8s.io/v1beta1': eventsConversion('v1beta1'),
  },
};
