/** After k8s.io/apiserver/plugin/pkg/audit/webhook/webhook_test.go, and what a server at the other end may do. */
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMetrics, realClock, silentLogger } from '@k8ts/base';
import { kubeconfigTarget, parseKubeconfig } from '@k8ts/client';
import { queryFromText } from '../request/query.ts';
import { RequestContext } from '../request/request-context.ts';
import { parseRequestInfo } from '../request/request-info.ts';
import { anonymousUser } from '../authentication/well-known-users.ts';
import type { AuditWebhookOptions } from './audit-options.ts';
import { createAuditor } from './create-auditor.ts';
import { auditEvent } from './testing/audit-event.ts';
import { startAuditReceiver, type AuditReceiver } from '../testing/audit-receiver.ts';
import { webhookBackend } from './webhook-backend.ts';

let receiver: AuditReceiver;
const cleanUps: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  receiver = await startAuditReceiver();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
  await receiver[Symbol.asyncDispose]();
});

async function backend(
  given: {
    readonly initialBackoff?: number;
    readonly requestTimeout?: number;
    readonly shutdownGrace?: number;
  } = {},
  path?: string,
) {
  const losses: string[] = [];
  const made = webhookBackend({
    target: await kubeconfigTarget(parseKubeconfig(receiver.kubeconfig(path), '/kubeconfig')),
    initialBackoff: 1,
    requestTimeout: 5_000,
    shutdownGrace: 5_000,
    clock: realClock,
    random: () => 0.5,
    reportLoss: (plugin, error, events) =>
      losses.push(`${plugin} ${events.map(({ auditID }) => auditID).join(',')}: ${(error as Error).message}`),
    ...given,
  });
  return { made, losses };
}

const sent = (): string[] => receiver.lists.map(({ items }) => items.map(({ auditID }) => auditID).join(','));

describe('a list of events', () => {
  test.each([
    ['/events', '/events'],
    ['/events/', '/events'],
    ['', '/'],
    ['/', '/'],
  ])('is posted to the server’s address %j', async (path, expected) => {
    const { made } = await backend({}, path);
    expect(await made.process([auditEvent({ auditID: 'a' }), auditEvent({ auditID: 'b' })])).toBe(true);
    await made.stop();
    expect(receiver.paths).toEqual([expected]);
    expect(receiver.lists[0]).toMatchObject({
      kind: 'EventList',
      apiVersion: 'audit.k8s.io/v1',
      metadata: {},
      items: [{ level: 'Metadata', auditID: 'a' }, { auditID: 'b' }],
    });
    expect(receiver.lists[0]?.items[0]).not.toHaveProperty('kind');
  });

  test.each([[[500]], [[404, 401]], [['break', 503, 400, 429]], [['flood']]] as const)(
    'is sent again after %j',
    async (behaviours) => {
      receiver.behaviours.push(...behaviours);
      const { made, losses } = await backend();
      expect(await made.process([auditEvent({ auditID: 'a' })])).toBe(true);
      await made.stop();
      expect(sent()).toEqual(Array.from({ length: behaviours.length + 1 }, () => 'a'));
      expect(losses).toEqual([]);
    },
  );

  test('is sent again when there is no answer in time', async () => {
    receiver.behaviours.push('hang');
    const { made, losses } = await backend({ requestTimeout: 50 });
    expect(await made.process([auditEvent({ auditID: 'a' })])).toBe(true);
    await made.stop();
    expect(sent()).toEqual(['a', 'a']);
    expect(losses).toEqual([]);
  });

  test('is sent in parts when it is very long', async () => {
    const requestObject = JSON.stringify('x'.repeat(12 * 1024 * 1024));
    const { made } = await backend();
    const events = ['a', 'b', 'c', 'd'].map((auditID) => auditEvent({ auditID, requestObject }));
    expect(await made.process(events)).toBe(true);
    await made.stop();
    expect(sent().sort()).toEqual(['a,b', 'c,d']);
  });

  test('is lost after five attempts', async () => {
    receiver.behaviours.push(500, 500, 500, 500, 500);
    const { made, losses } = await backend();
    expect(await made.process([auditEvent({ auditID: 'a' }), auditEvent({ auditID: 'b' })])).toBe(false);
    await made.stop();
    expect(sent()).toHaveLength(5);
    expect(losses).toEqual([expect.stringMatching(/^webhook a,b: /)]);
  });

  test('waits for a server that is not there yet', async () => {
    const gone = receiver;
    await gone[Symbol.asyncDispose]();
    const { made, losses } = await backend({ initialBackoff: 1 });
    expect(await made.process([auditEvent({ auditID: 'a' })])).toBe(false);
    expect(losses).toEqual([expect.stringContaining('ECONNREFUSED')]);
    receiver = await startAuditReceiver();
    const other = await backend();
    expect(await other.made.process([auditEvent({ auditID: 'b' })])).toBe(true);
    await Promise.all([made.stop(), other.made.stop()]);
  });
});

describe('a stop', () => {
  test('waits for what is on its way', async () => {
    receiver.behaviours.push(500, 500);
    const { made, losses } = await backend({ initialBackoff: 20 });
    const delivered = made.process([auditEvent({ auditID: 'a' })]);
    await made.stop();
    expect(await delivered).toBe(true);
    expect(losses).toEqual([]);
  });

  test('does not wait for ever', async () => {
    receiver.behaviours.push('hang', 'hang');
    const { made, losses } = await backend({ shutdownGrace: 50 });
    const first = made.process([auditEvent({ auditID: 'a' })]);
    const second = made.process([auditEvent({ auditID: 'b' })]);
    await expect.poll(() => receiver.lists.length).toBe(2);
    await made.stop();
    expect([await first, await second]).toEqual([false, false]);
    expect(losses.map((loss) => loss.slice(0, 10)).sort()).toEqual(['webhook a:', 'webhook b:']);
  });

  test('does not wait for the next attempt for ever', async () => {
    receiver.behaviours.push(500);
    const { made, losses } = await backend({ initialBackoff: 600_000, shutdownGrace: 50 });
    const delivered = made.process([auditEvent({ auditID: 'a' })]);
    await expect.poll(() => receiver.lists.length).toBe(1);
    await made.stop();
    expect(await delivered).toBe(false);
    expect(losses).toHaveLength(1);
  });
});

describe('the whole way', () => {
  test('a server that hangs does not hold up a stop, however much waits', async () => {
    const { made, metrics, request } = await auditor({
      shutdownGrace: 100,
      batch: { maxBatchSize: 1, throttleEnable: false },
    });
    receiver.behaviours.push(...Array.from({ length: 300 }, () => 'hang' as const));
    for (let i = 0; i < 150; i++) expect(request(String(i)).audit?.received()).toBe(true);
    await made.stop();
    expect(await metrics.text()).toContain('apiserver_audit_error_total{plugin="webhook"} 150');
  });

  async function auditor(webhook: Partial<AuditWebhookOptions> = {}) {
    const directory = await mkdtemp(join(tmpdir(), 'k8ts-audit-'));
    cleanUps.push(() => rm(directory, { recursive: true }));
    const configFile = join(directory, 'kubeconfig');
    await writeFile(configFile, receiver.kubeconfig());
    const metrics = createMetrics();
    const made = await createAuditor(
      {
        policy: { metadata: { name: '' }, rules: [{ level: 'Metadata' }] },
        webhook: { configFile, initialBackoff: 1, ...webhook },
      },
      { clock: realClock, random: () => 0.5, logger: silentLogger, metrics },
    );
    if (made === undefined) throw new Error('there is a back end');
    const request = (id: string): RequestContext => {
      const query = queryFromText('');
      const init = {
        method: 'GET',
        path: '/version',
        query,
        headers: {},
        body: { kind: 'value' as const, value: undefined },
        remoteAddress: '',
        onAbort: () => undefined,
      };
      const context = new RequestContext(init, parseRequestInfo('GET', '/version', query), anonymousUser, id);
      context.audit = made.begin(context);
      return context;
    };
    return { made, metrics, request };
  }

  test('events are sent together, and all before the end', async () => {
    const { made, request } = await auditor();
    for (const id of ['a', 'b']) {
      const { audit } = request(id);
      expect(audit?.received()).toBe(true);
      audit?.started(200);
      expect(audit?.completed()).toBeUndefined();
    }
    expect(receiver.lists).toEqual([]);
    await made.stop();
    expect(sent()).toEqual(['a,a,b,b']);
    expect(receiver.lists[0]?.items.map(({ stage }) => stage)).toEqual([
      'RequestReceived',
      'ResponseComplete',
      'RequestReceived',
      'ResponseComplete',
    ]);
  });

  test('a request waits in the blocking mode, and is refused in the strict one', async () => {
    const blocking = await auditor({ mode: 'blocking' });
    receiver.behaviours.push(500, 500, 500, 500, 500);
    expect(await blocking.request('a').audit?.received()).toBe(true);
    expect(sent()).toEqual(['a', 'a', 'a', 'a', 'a']);
    expect(await blocking.metrics.text()).toContain('apiserver_audit_error_total{plugin="webhook"} 1');
    await blocking.made.stop();

    const strict = await auditor({ mode: 'blocking-strict' });
    receiver.behaviours.push(500, 500, 500, 500, 500);
    expect(await strict.request('b').audit?.received()).toBe(false);
    expect(await strict.request('c').audit?.received()).toBe(true);
    expect(await strict.metrics.text()).toContain('apiserver_audit_requests_rejected_total 1');
    await strict.made.stop();
  });

  test('a full buffer loses events, which are counted', async () => {
    const { made, metrics, request } = await auditor({ batch: { bufferSize: 3, maxBatchSize: 100 } });
    for (let i = 0; i < 5; i++) expect(request(String(i)).audit?.received()).toBe(true);
    await made.stop();
    expect(sent()).toEqual(['0,1,2']);
    expect(await metrics.text()).toContain('apiserver_audit_error_total{plugin="buffered"} 2');
    expect(await metrics.text()).toContain('apiserver_audit_event_total 5');
  });
});
