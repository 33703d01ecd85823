import { admissionregistrationv1, corev1 } from '@k8ts/api';
import { isForbidden, isInvalid, isNotFound } from '@k8ts/apimachinery';
import { seededRandom } from '@k8ts/base';
import type { Client } from '@k8ts/client';
import { afterAll, beforeAll, expect, test } from 'vitest';

import {
  definitionOf,
  definitionsOf,
  resourceOf,
  type CustomObject,
  type Definition,
} from '../conformance/custom-resources.ts';
import { createInstallation, type Installation } from '../support/installation.ts';
import { until } from '../support/waiting.ts';

const ROUNDS = Math.ceil(Number(process.env['K8TS_CRASH_ROUNDS'] ?? 100) / 10);
const SEED = Number(process.env['K8TS_CRASH_SEED'] ?? 1);
const WRITERS = 12;
const OBJECTS_PER_WRITER = 6; // together more than the quota allows
const QUOTA = 30;
const LONGEST_RUN = 300; // acknowledged writes before the kill
const DEFINITIONS = 4; // that come and go
const LIMIT = 20_000;

const widgets = definitionOf({
  group: 'crash.example.com',
  plural: 'widgets',
  kind: 'Widget',
  versions: [
    {
      name: 'v1',
      served: true,
      storage: true,
      schema: {
        openAPIV3Schema: {
          type: 'object',
          properties: {
            spec: {
              type: 'object',
              properties: {
                size: { type: 'integer' },
                color: { type: 'string', default: 'blue' },
              },
              'x-kubernetes-validations': [{ rule: 'self.size < 1000000', message: 'size is too big' }],
            },
          },
        },
      },
    },
  ],
});
const widgetType = resourceOf(widgets);

/** One of those that are made and deleted all the time. */
const passing = (index: number): Definition =>
  definitionOf({
    group: 'crash.example.com',
    plural: `passers${index}`,
    kind: `Passer${index}`,
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  });

const policy: admissionregistrationv1.ValidatingAdmissionPolicy = {
  metadata: { name: 'even' },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: ['crash.example.com'],
          apiVersions: ['v1'],
          resources: ['widgets'],
          operations: ['CREATE', 'UPDATE'],
        },
      ],
    },
    validations: [{ expression: 'object.spec.size % 2 == 0', message: 'size is odd' }],
  },
};

const widget = (name: string, size: number): CustomObject => ({
  metadata: { name },
  spec: { size, foreign: 1 },
});

let installation: Installation;
beforeAll(async () => {
  installation = await createInstallation();
});
afterAll(() => installation[Symbol.asyncDispose]());

/** What is known of one object: as it was acknowledged, and what was asked for when the server died. */
interface Known<T> {
  acknowledged: T | undefined;
  /** `undefined`: nothing. `null`: a deletion. */
  pending: T | null | undefined;
}

interface Ledger {
  readonly widgets: Map<string, Known<number>>;
  readonly passers: Map<number, Known<true>>;
}

test(`${ROUNDS} kills lose no definition, none of its objects, no quota and no policy (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const ledger: Ledger = { widgets: new Map(), passers: new Map() };
  let refused = 0;
  await prepare();
  for (let round = 0; round < ROUNDS; round++) {
    const up = await installation.up('--no-node', '--port', '0');
    const client = await installation.client();
    await check(client, ledger);
    const stopAfter = 1 + Math.floor(random() * LONGEST_RUN);
    let written = 0;
    let ended = false;
    const run: Run = {
      client,
      random,
      ledger,
      ended: () => ended,
      acknowledged: () => {
        if (++written !== stopAfter) return;
        ended = true;
        process.kill(up.pid, 'SIGKILL');
      },
      refused: () => refused++,
    };
    await Promise.all([
      ...Array.from({ length: WRITERS }, (_, writer) => writeWidgets(run, writer)),
      ...Array.from({ length: DEFINITIONS }, (_, index) => writeDefinition(run, index)),
    ]);
    expect((await up.ended).signal).toBe('SIGKILL');
  }
  expect(refused, 'writes beyond the quota').toBeGreaterThan(ROUNDS);
  const up = await installation.up('--no-node', '--port', '0');
  await check(await installation.client(), ledger);
  expect((await up.stop()).code).toBe(0);
  expect(installation.leftovers()).toEqual({});
}, 300_000);

async function prepare(): Promise<void> {
  await whileUp(async (client) => {
    await definitionsOf(client).create(widgets);
    await client.resource(admissionregistrationv1.validatingAdmissionPolicies).create(policy);
    await client.resource(admissionregistrationv1.validatingAdmissionPolicyBindings).create({
      metadata: { name: 'even' },
      spec: { policyName: 'even', validationActions: ['Deny'] },
    });
  });
  // The quota controller looks for new kinds every half minute, and when it starts.
  await whileUp(async (client) => {
    const quotas = client.resource(corev1.resourceQuotas, 'default');
    const hard = { 'count/widgets.crash.example.com': String(QUOTA) };
    await quotas.create({ metadata: { name: 'widgets' }, spec: { hard } });
    await until(async () => (await quotas.get('widgets')).status?.used !== undefined, LIMIT);
  });
}

async function whileUp(act: (client: Client) => Promise<void>): Promise<void> {
  const up = await installation.up('--no-node', '--port', '0');
  await act(await installation.client());
  expect((await up.stop('SIGKILL')).signal).toBe('SIGKILL');
}

interface Run {
  readonly client: Client;
  readonly random: () => number;
  readonly ledger: Ledger;
  ended(): boolean;
  acknowledged(): void;
  refused(): void;
}

async function writeWidgets(
  { client, random, ledger, ended, acknowledged, refused }: Run,
  writer: number,
): Promise<void> {
  const objects = client.resource(widgetType, 'default');
  while (!ended()) {
    const name = `widget-${writer}-${Math.floor(random() * OBJECTS_PER_WRITER)}`;
    const before = ledger.widgets.get(name)?.acknowledged;
    const size = Math.floor(random() * 1000) * 2;
    const remove = before !== undefined && random() < 0.3;
    ledger.widgets.set(name, { acknowledged: before, pending: remove ? null : size });
    try {
      if (remove) await objects.delete(name);
      else if (before === undefined) await objects.create(widget(name, size));
      else await objects.patch(name, { spec: { size } }, { type: 'merge' });
      ledger.widgets.set(name, { acknowledged: remove ? undefined : size, pending: undefined });
    } catch (error) {
      if (isForbidden(error)) {
        // The quota's word, which is an answer like any other.
        expect(String(error)).toContain('exceeded quota: widgets');
        ledger.widgets.set(name, { acknowledged: before, pending: undefined });
        refused();
      } else if (ended()) return;
      else throw error;
    }
    acknowledged();
  }
}

/** Makes one definition and deletes it again, and waits each time until it can be used, or is gone. */
async function writeDefinition({ client, ledger, ended, acknowledged }: Run, index: number): Promise<void> {
  const definitions = definitionsOf(client);
  const definition = passing(index);
  const name = definition.metadata.name ?? '';
  while (!ended()) {
    const before = ledger.passers.get(index)?.acknowledged;
    ledger.passers.set(index, { acknowledged: before, pending: before === undefined ? true : null });
    try {
      if (before === undefined) {
        await definitions.create(definition);
        ledger.passers.set(index, { acknowledged: true, pending: undefined });
        await until(async () => isEstablished(await current(client, name)), LIMIT);
        const objects = client.resource(resourceOf(definition), 'default');
        await objects.create({ metadata: { name: 'one' } });
      } else {
        await definitions.delete(name);
        await until(async () => (await current(client, name)) === undefined, LIMIT);
        ledger.passers.set(index, { acknowledged: undefined, pending: undefined });
      }
    } catch (error) {
      if (ended()) return;
      throw error;
    }
    acknowledged();
  }
}

const isEstablished = (definition: Definition | undefined): boolean =>
  definition?.status?.conditions?.some(
    ({ type, status: state }) => type === 'Established' && state === 'True',
  ) === true;

const isTerminating = (definition: Definition | undefined): boolean =>
  definition?.metadata.deletionTimestamp !== undefined;

const current = (client: Client, name: string): Promise<Definition | undefined> =>
  definitionsOf(client)
    .get(name)
    .catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });

/** Compares what is there with what was acknowledged, from the first request on, and brings the ledger up to date. */
async function check(client: Client, ledger: Ledger): Promise<void> {
  const objects = client.resource(widgetType, 'default');
  const found = new Map((await objects.list()).items.map((item) => [item.metadata.name ?? '', item]));
  for (const [name, { acknowledged, pending }] of ledger.widgets) {
    const item = found.get(name);
    const size = item?.spec?.['size'] as number | undefined;
    expect([acknowledged, pending === undefined ? acknowledged : (pending ?? undefined)], name).toContain(
      size,
    );
    if (item !== undefined) expect(item.spec).toEqual({ size, color: 'blue' });
    ledger.widgets.set(name, { acknowledged: size, pending: undefined });
  }
  expect(found.size).toBeLessThanOrEqual(QUOTA);
  for (const name of found.keys()) expect(ledger.widgets.has(name), name).toBe(true);

  // The rules of the definition and the policy hold for the first request.
  const dryRun = { dryRun: true };
  await expect(objects.create(widget('big', 2_000_000), dryRun)).rejects.toSatisfy(isInvalid);
  await expect(objects.create(widget('odd', 1), dryRun)).rejects.toThrow('size is odd');

  const quotas = client.resource(corev1.resourceQuotas, 'default');
  const used = async (): Promise<string | undefined> =>
    (await quotas.get('widgets')).status?.used?.['count/widgets.crash.example.com'];
  expect(Number(await used()), 'used is never less than what is there').toBeGreaterThanOrEqual(found.size);
  await until(async () => (await used()) === String(found.size), LIMIT);

  for (const [index, { acknowledged, pending }] of ledger.passers) {
    const definition = passing(index);
    const name = definition.metadata.name ?? '';
    // A deletion that had begun goes on by itself.
    await until(async () => !isTerminating(await current(client, name)), LIMIT);
    const isThere = (await current(client, name)) !== undefined;
    const allowed = pending === undefined ? [acknowledged] : [acknowledged, pending ?? undefined];
    expect(allowed, name).toContain(isThere ? true : undefined);
    if (isThere) await until(async () => isEstablished(await current(client, name)), LIMIT);
    ledger.passers.set(index, { acknowledged: isThere ? true : undefined, pending: undefined });
    const served = client.resource(resourceOf(definition), 'default');
    if (isThere) expect((await served.list()).items.length).toBeLessThanOrEqual(1);
    else await until(() => served.list().then(() => false, isNotFound), LIMIT);
  }
}
