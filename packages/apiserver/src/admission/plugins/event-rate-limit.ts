import { corev1, eventsv1, type Draft } from '@k8ts/api';
import {
  aggregateText,
  child,
  fieldErrorText,
  index,
  invalidValue,
  notSupported,
  strictDecodingError,
  tooManyRequests,
  type FieldError,
  type JsonObject,
} from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import { LruMap, TokenBucket } from '@k8ts/client';
import { ConfigurationError } from '../../configuration/decode-configuration.ts';
import { checkPluginKind, knownFields } from '../configuration/read-configuration.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';

const LIMIT_TYPES = ['Namespace', 'Server', 'SourceAndObject', 'User'] as const;
const DEFAULT_CACHE_SIZE = 4096;

export interface EventLimit {
  /** Who shares the limit: all, a namespace, a user, or the events of one source about one object. */
  readonly type: (typeof LIMIT_TYPES)[number];
  /** Events per second, once `burst` of them have come. */
  readonly qps: number;
  readonly burst: number;
  /** How many namespaces, users or sources are remembered. 0: 4096. */
  readonly cacheSize: number;
}

/** eventratelimit.admission.k8s.io/v1alpha1. Throws ConfigurationError. */
export function eventRateLimitConfiguration(configuration: JsonObject | undefined): readonly EventLimit[] {
  const unknown: string[] = [];
  let items: readonly unknown[] = [];
  if (configuration !== undefined) {
    checkPluginKind(configuration, 'eventratelimit.admission.k8s.io', ['v1alpha1'], 'Configuration');
    const { limits } = knownFields(configuration, ['apiVersion', 'kind', 'limits'], '', unknown);
    if (Array.isArray(limits)) items = limits;
  }
  const given = items.map((item, i) =>
    knownFields(item as JsonObject, ['type', 'qps', 'burst', 'cacheSize'], `limits[${i}]`, unknown),
  );
  if (unknown.length > 0) throw new ConfigurationError(strictDecodingError(unknown));
  const limits = given.map(({ type = '', qps = 0, burst = 0, cacheSize = 0 }) => ({
    type,
    qps: Number(qps),
    burst: Number(burst),
    cacheSize: Number(cacheSize),
  }));
  const errors: FieldError[] = [];
  if (limits.length === 0) errors.push(invalidValue('limits', limits, 'must not be empty'));
  limits.forEach(({ type, qps, burst, cacheSize }, i) => {
    const path = index('limits', i);
    if (!LIMIT_TYPES.some((known) => known === type))
      errors.push(notSupported(child(path, 'type'), type, LIMIT_TYPES));
    if (!(burst > 0)) errors.push(invalidValue(child(path, 'burst'), burst, 'must be positive'));
    if (!(qps > 0)) errors.push(invalidValue(child(path, 'qps'), qps, 'must be positive'));
    if (type !== 'Server' && !(cacheSize >= 0))
      errors.push(invalidValue(child(path, 'cacheSize'), cacheSize, 'must not be negative'));
  });
  if (errors.length > 0) throw new ConfigurationError(aggregateText(errors.map(fieldErrorText)));
  return limits as readonly EventLimit[];
}

/** Events beyond the operator's limits are refused with 429. */
export function eventRateLimit(limits: readonly EventLimit[], clock: Clock): AdmissionPlugin {
  const enforcers = limits.map((limit) => createEnforcer(limit, clock));
  return {
    name: 'EventRateLimit',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource) => isResource(resource, corev1.events, eventsv1.events),

    validate(attributes) {
      if (attributes.dryRun) return;
      const problems = enforcers.flatMap((accept) => accept(attributes) ?? []);
      if (problems.length > 0) throw tooManyRequests(aggregateText(problems), 0);
    },
  };
}

/** What is wrong with one more event; undefined: nothing. */
type Enforcer = (attributes: AdmissionAttributes) => string | undefined;

function createEnforcer({ type, qps, burst, cacheSize }: EventLimit, clock: Clock): Enforcer {
  const buckets = new LruMap<string, TokenBucket>(type === 'Server' ? 1 : cacheSize || DEFAULT_CACHE_SIZE);
  return (attributes) => {
    const key = keyOf(type, attributes);
    const bucket = buckets.get(key) ?? new TokenBucket(clock, qps, burst);
    buckets.set(key, bucket); // used last
    return bucket.tryTake() ? undefined : `limit reached on type ${type} for key ${key}`;
  };
}

function keyOf(type: EventLimit['type'], { namespace, user, object }: AdmissionAttributes): string {
  switch (type) {
    case 'Server':
      return '';
    case 'Namespace':
      return namespace;
    case 'User':
      return user.name;
    default: {
      const { source, involvedObject } = object as Draft<corev1.Event>;
      const { kind, namespace: of, name, uid, apiVersion } = involvedObject ?? {};
      return [source?.component, source?.host, kind, of, name, uid, apiVersion].join('');
    }
  }
}
