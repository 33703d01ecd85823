import { corev1 } from '@k8ts/api';
import { isTooManyRequests, type JsonObject } from '@k8ts/apimachinery';
import { VirtualClock } from '@k8ts/base';
import { describe, expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import { admit } from '../testing/admission-request.ts';
import { eventRateLimit, eventRateLimitConfiguration, type EventLimit } from './event-rate-limit.ts';

const event = (changes: object = {}): corev1.Event => ({
  metadata: { name: 'e', namespace: 'ns' },
  involvedObject: { kind: 'Pod', name: 'p', namespace: 'ns' },
  source: { component: 'kubelet', host: 'n1' },
  ...changes,
});

/** Which of the events are let in. */
async function admitted(
  limit: Partial<EventLimit> & Pick<EventLimit, 'type'>,
  requests: readonly (readonly [event: corev1.Event, user?: string | undefined, dryRun?: boolean])[],
  clock: VirtualClock = new VirtualClock(),
): Promise<readonly (true | string)[]> {
  const plugin = eventRateLimit([{ qps: 1, burst: 2, cacheSize: 0, ...limit }], clock);
  const answers: (true | string)[] = [];
  for (const [object, user = 'kubelet', dryRun = false] of requests)
    answers.push(
      await admit(plugin, {
        operation: 'CREATE',
        resource: corev1.events,
        object,
        user: userInfo(user, []),
        dryRun,
      }).then(
        () => true,
        (error: unknown) => {
          expect(error).toSatisfy(isTooManyRequests);
          return (error as Error).message;
        },
      ),
    );
  return answers;
}

describe('EventRateLimit', () => {
  const inNamespace = (namespace: string): corev1.Event => event({ metadata: { name: 'e', namespace } });

  test('of the server, counts all', async () => {
    expect(
      await admitted({ type: 'Server' }, [[event()], [inNamespace('other')], [event(), 'else']]),
    ).toEqual([true, true, 'limit reached on type Server for key ']);
  });

  test.each<[EventLimit['type'], corev1.Event, string | undefined, string]>([
    ['Namespace', inNamespace('other'), undefined, 'ns'],
    ['User', event(), 'someone', 'kubelet'],
    [
      'SourceAndObject',
      event({ involvedObject: { kind: 'Pod', name: 'q', namespace: 'ns' } }),
      undefined,
      'kubeletn1Podnsp',
    ],
  ])('of each %s, counts apart', async (type, other, user, key) => {
    expect(await admitted({ type }, [[event()], [event()], [event()], [other, user]])).toEqual([
      true,
      true,
      `limit reached on type ${type} for key ${key}`,
      true,
    ]);
  });

  test('does not count what is not written', async () => {
    const dryRun = [event(), undefined, true] as const;
    expect(await admitted({ type: 'Server', burst: 1 }, [dryRun, dryRun, [event()]])).toEqual([
      true,
      true,
      true,
    ]);
  });

  test('lets more in as time goes by', async () => {
    const clock = new VirtualClock();
    const plugin = eventRateLimit([{ type: 'Server', qps: 2, burst: 1, cacheSize: 0 }], clock);
    const ask = (): Promise<unknown> =>
      admit(plugin, { operation: 'UPDATE', resource: corev1.events, object: event(), oldObject: event() });
    await ask();
    await expect(ask()).rejects.toThrow('limit reached');
    await clock.advance(500);
    await ask();
  });

  test('forgets who has not been heard of for long', async () => {
    const events = ['a', 'b', 'c', 'd', 'a'].map((namespace) => [inNamespace(namespace)] as const);
    expect(await admitted({ type: 'Namespace', burst: 1, cacheSize: 1 }, events)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
  });

  test.each<[JsonObject | undefined, string]>([
    [undefined, 'limits: Invalid value: []: must not be empty'],
    [
      { apiVersion: 'eventratelimit.admission.k8s.io/v1', kind: 'Configuration' },
      'no kind "Configuration" is registered for version "eventratelimit.admission.k8s.io/v1"',
    ],
    [
      {
        apiVersion: 'eventratelimit.admission.k8s.io/v1alpha1',
        kind: 'Configuration',
        limits: [{ type: 'Server', rate: 1 }],
      },
      'strict decoding error: unknown field "limits[0].rate"',
    ],
    [
      {
        apiVersion: 'eventratelimit.admission.k8s.io/v1alpha1',
        kind: 'Configuration',
        limits: [{ type: 'Planet', qps: -1, burst: 0, cacheSize: -1 }],
      },
      '[limits[0].type: Unsupported value: "Planet": supported values: "Namespace", "Server", "SourceAndObject", "User", limits[0].burst: Invalid value: 0: must be positive, limits[0].qps: Invalid value: -1: must be positive, limits[0].cacheSize: Invalid value: -1: must not be negative]',
    ],
  ])('%j cannot be used', (configuration, problem) => {
    expect(() => eventRateLimitConfiguration(configuration)).toThrow(problem);
  });
});
