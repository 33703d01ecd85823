import type { flowcontrolv1 } from '@k8ts/api';
import { type KubeObject, type ResourceType } from '@k8ts/api';
import { createMetrics, VirtualClock } from '@k8ts/base';
import { describe, expect, it } from 'vitest';
import type { UserInfo } from '../authentication/contract.ts';
import { queryFromText } from '../request/query.ts';
import { parseRequestInfo } from '../request/request-info.ts';
import {
  MANDATORY_FLOW_SCHEMAS,
  MANDATORY_PRIORITY_LEVELS,
  SUGGESTED_FLOW_SCHEMAS,
  SUGGESTED_PRIORITY_LEVELS,
} from './default-configuration.ts';
import { FlowControl } from './flow-control.ts';
import { createFlowControlMetrics } from './flow-control-metrics.ts';
import type { PriorityLevel } from './priority-level.ts';
import type { Ticket } from './queue-set.ts';

const who = (name: string, ...groups: string[]): UserInfo => ({
  name,
  uid: '',
  groups: [...groups, 'system:authenticated'],
  extra: {},
});
const info = (method: string, path: string): ReturnType<typeof parseRequestInfo> =>
  parseRequestInfo(method, path, queryFromText(''));
const PODS = info('GET', '/api/v1/namespaces/a/pods');

class Harness {
  readonly clock = new VirtualClock();
  levels: readonly flowcontrolv1.PriorityLevelConfiguration[];
  schemas: readonly flowcontrolv1.FlowSchema[];
  #version = 0;
  readonly metrics = createMetrics();
  readonly control: FlowControl;

  constructor(
    levels: readonly flowcontrolv1.PriorityLevelConfiguration[],
    schemas: readonly flowcontrolv1.FlowSchema[],
    seats = 600,
  ) {
    this.levels = levels;
    this.schemas = schemas;
    const list = (type: ResourceType<KubeObject>): readonly KubeObject[] =>
      type.resource === 'flowschemas' ? this.schemas : this.levels;
    this.control = new FlowControl({
      objects: { list: (type) => list(type) as never, version: () => this.#version },
      clock: this.clock,
      seats,
      metrics: createFlowControlMetrics(this.metrics),
    });
  }

  changed(): void {
    this.#version++;
  }

  classified(user: UserInfo, request = PODS): string {
    const { flowSchema, level } = this.control.classify(user, request);
    return `${flowSchema.metadata.name} → ${level.name}`;
  }

  level(user: UserInfo): PriorityLevel {
    return this.control.classify(user, PODS).level;
  }

  occupy(user: UserInfo, count: number): Ticket[] {
    const { level } = this.control.classify(user, PODS);
    return Array.from({ length: count }, (_, i) => level.queues.request(1, i)).filter(
      (ticket): ticket is Ticket => typeof ticket !== 'string',
    );
  }
}

const usual = (): Harness =>
  new Harness(
    [...SUGGESTED_PRIORITY_LEVELS, ...MANDATORY_PRIORITY_LEVELS],
    [...SUGGESTED_FLOW_SCHEMAS, ...MANDATORY_FLOW_SCHEMAS],
  );

describe('requests of a usual cluster', () => {
  it.each<[UserInfo, string, string, string]>([
    [who('admin', 'system:masters'), 'GET', '/api/v1/pods', 'exempt → exempt'],
    [who('alice'), 'GET', '/readyz', 'probes → exempt'],
    [who('alice'), 'GET', '/api/v1/pods', 'global-default → global-default'],
    [who('system:kube-scheduler'), 'GET', '/api/v1/pods', 'kube-scheduler → workload-high'],
    [
      who('system:kube-scheduler'),
      'PUT',
      '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler',
      'system-leader-election → leader-election',
    ],
    [who('system:node:n', 'system:nodes'), 'PATCH', '/api/v1/nodes/n/status', 'system-node-high → node-high'],
    [who('system:node:n', 'system:nodes'), 'GET', '/api/v1/pods', 'system-nodes → system'],
    [
      who('system:serviceaccount:kube-system:x', 'system:serviceaccounts'),
      'GET',
      '/api/v1/pods',
      'kube-system-service-accounts → workload-high',
    ],
    [
      who('system:serviceaccount:a:x', 'system:serviceaccounts'),
      'GET',
      '/api/v1/pods',
      'service-accounts → workload-low',
    ],
  ])('%o %s %s: %s', (user, method, path, expected) => {
    expect(usual().classified(user, info(method, path))).toBe(expected);
  });

  it('have seats in proportion to the shares, and lend some', async () => {
    const harness = usual();
    const { nominal, lower, upper, current, maxSeats } = harness.level(who('alice'));
    // 20 of 245 shares of 600 seats, half of them lendable; all can be borrowed.
    expect({ nominal, lower, upper, maxSeats }).toEqual({ nominal: 49, lower: 24, upper: 649, maxSeats: 8 });
    // Nobody wants anything: all seats are there for all, in proportion.
    expect(current).toBeGreaterThanOrEqual(lower);
    harness.occupy(who('alice'), 300);
    await harness.clock.advance(10_000);
    harness.control.adjust();
    expect(harness.level(who('alice')).current).toBeGreaterThan(200);
  });
});

it('without any object only the mandatory configuration holds', () => {
  const harness = new Harness([], []);
  expect(harness.classified(who('admin', 'system:masters'))).toBe('exempt → exempt');
  expect(harness.classified(who('alice'))).toBe('catch-all → catch-all');
  expect(harness.level(who('alice')).current).toBe(600);
});

describe('a changed configuration', () => {
  const jail: flowcontrolv1.PriorityLevelConfiguration = {
    metadata: { name: 'jail' },
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares: 0,
        limitResponse: { type: 'Queue', queuing: { queues: 1, handSize: 1, queueLengthLimit: 1 } },
        borrowingLimitPercent: 0,
      },
    },
  };
  const forMallory: flowcontrolv1.FlowSchema = {
    metadata: { name: 'mallory' },
    spec: {
      priorityLevelConfiguration: { name: 'jail' },
      matchingPrecedence: 500,
      rules: [
        {
          subjects: [{ kind: 'User', user: { name: 'mallory' } }],
          resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }],
        },
      ],
    },
  };

  it('holds from the next request on; schemas without their level are left out', () => {
    const harness = usual();
    expect(harness.classified(who('mallory'))).toBe('global-default → global-default');
    harness.schemas = [...harness.schemas, forMallory];
    harness.changed();
    expect(harness.classified(who('mallory'))).toBe('global-default → global-default');
    harness.levels = [...harness.levels, jail];
    harness.changed();
    expect(harness.classified(who('mallory'))).toBe('mallory → jail');
    expect(harness.level(who('mallory')).current).toBe(0);
  });

  it('keeps a level that is gone until its last request is answered', () => {
    const harness = usual();
    const level = harness.level(who('alice'));
    const [ticket] = harness.occupy(who('alice'), 1);
    harness.levels = harness.levels.filter(({ metadata }) => metadata.name !== 'global-default');
    harness.changed();
    expect(harness.classified(who('alice'))).toBe('catch-all → catch-all');
    expect(level.isLeaving).toBe(true);
    expect(level.current).toBeGreaterThan(0);
    level.queues.finish(ticket as Ticket);
    harness.control.adjust();
    // Who comes back begins anew.
    harness.levels = SUGGESTED_PRIORITY_LEVELS;
    harness.changed();
    expect(harness.level(who('alice'))).not.toBe(level);
  });

  it('of a broken level is as none', () => {
    const harness = new Harness([{ ...jail, spec: { type: 'Limited' } }], [forMallory]);
    expect(harness.classified(who('mallory'))).toBe('catch-all → catch-all');
  });
});

it('exempt requests take their seats from the others, but never the lower limits', async () => {
  const harness = usual();
  const alice = harness.level(who('alice'));
  harness.occupy(who('alice'), 100);
  harness.occupy(who('admin', 'system:masters'), 5_000);
  await harness.clock.advance(10_000);
  harness.control.adjust();
  expect(alice.current).toBe(alice.lower);
});

it('says in its metrics what it does', async () => {
  const harness = usual();
  harness.level(who('alice'));
  const text = await harness.metrics.text();
  expect(text).toContain('apiserver_flowcontrol_nominal_limit_seats{priority_level="global-default"} 49');
  expect(text).toContain('apiserver_flowcontrol_lower_limit_seats{priority_level="global-default"} 24');
});
