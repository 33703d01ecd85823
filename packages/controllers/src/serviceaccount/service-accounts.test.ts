import { corev1 } from '@k8ts/api';
import { fromStatus } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { rootCAPublisherController } from '../root-ca-publisher-controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';
import { serviceAccountController } from './service-account-controller.ts';
import { serviceAccountTokenController } from './tokens-controller.ts';

const start = () =>
  ControllerHarness.start(
    [serviceAccountTokenController, serviceAccountController, rootCAPublisherController],
    {
      rootCA: 'CERTIFICATE',
      signServiceAccountToken: ({ namespace, serviceAccount, secretName }) =>
        Promise.resolve(`token of ${namespace}/${serviceAccount} in ${secretName}`),
    },
  );

const decode = (data: string | undefined): string => Buffer.from(data ?? '', 'base64').toString();

async function createNamespace({ api, clock }: ControllerHarness): Promise<void> {
  await api.client.resource(corev1.namespaces).create({ metadata: { name: 'team' }, spec: {} });
  await clock.settle();
}

describe('every namespace', () => {
  it('gets a default service account and the root certificate, again when they are deleted or changed', async () => {
    await using harness = await start();
    await createNamespace(harness);
    const { api, clock } = harness;
    const maps = api.client.resource(corev1.configMaps, 'team');
    for (let round = 0; round < 2; round++) {
      expect(api.peek(corev1.serviceAccounts, 'team/default')).toBeDefined();
      expect(api.peek(corev1.configMaps, 'team/kube-root-ca.crt')?.data).toEqual({ 'ca.crt': 'CERTIFICATE' });
      await api.client.resource(corev1.serviceAccounts, 'team').delete('default');
      await maps.delete('kube-root-ca.crt');
      await clock.settle();
    }
    await maps.patch('kube-root-ca.crt', { data: { 'ca.crt': 'forged', more: 'x' } }, { type: 'merge' });
    await clock.settle();
    expect(api.peek(corev1.configMaps, 'team/kube-root-ca.crt')?.data).toEqual({ 'ca.crt': 'CERTIFICATE' });
  });

  it('gets nothing more once it is being deleted', async () => {
    await using harness = await start();
    await createNamespace(harness);
    const { api, clock } = harness;
    await api.client.resource(corev1.namespaces).delete('team');
    await clock.settle();
    await api.client.resource(corev1.serviceAccounts, 'team').delete('default');
    await api.client.resource(corev1.configMaps, 'team').delete('kube-root-ca.crt');
    await clock.advance(60_000);
    expect(api.all(corev1.serviceAccounts)).toEqual([]);
    expect(api.all(corev1.configMaps)).toEqual([]);
  });

  it('is not tried again and again when the server says that it is going away', async () => {
    await using harness = await start();
    harness.api.intercept(({ method }) => {
      if (method !== 'POST') return undefined;
      throw fromStatus({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'being terminated',
        reason: 'Forbidden',
        details: { causes: [{ reason: 'NamespaceTerminating' }] },
        code: 403,
      });
    });
    harness.api.seed(corev1.namespaces, { metadata: { name: 'n' }, spec: {}, status: { phase: 'Active' } });
    await harness.clock.advance(60_000);
    expect(harness.api.requests.filter((request) => request.startsWith('POST'))).toHaveLength(2);
  });
});

describe('a Secret of type service-account-token', () => {
  const secret = (account: string): corev1.Secret => ({
    metadata: {
      name: 's',
      namespace: 'team',
      annotations: { 'kubernetes.io/service-account.name': account },
    },
    type: 'kubernetes.io/service-account-token',
  });

  it('is filled with token, certificate and namespace', async () => {
    await using harness = await start();
    await createNamespace(harness);
    const { api, clock } = harness;
    await api.client.resource(corev1.secrets, 'team').create(secret('default'));
    await clock.settle();
    const filled = api.peek(corev1.secrets, 'team/s');
    expect(
      Object.fromEntries(Object.entries(filled?.data ?? {}).map(([key, value]) => [key, decode(value)])),
    ).toEqual({
      token: 'token of team/default in s',
      'ca.crt': 'CERTIFICATE',
      namespace: 'team',
    });
    expect(filled?.metadata.annotations?.['kubernetes.io/service-account.uid']).toBe(
      api.peek(corev1.serviceAccounts, 'team/default')?.metadata.uid,
    );
  });

  it('goes with its service account, and when another one takes the name', async () => {
    await using harness = await start();
    await createNamespace(harness);
    const { api, clock } = harness;
    const accounts = api.client.resource(corev1.serviceAccounts, 'team');
    await accounts.create({ metadata: { name: 'robot' } });
    await api.client.resource(corev1.secrets, 'team').create(secret('robot'));
    await clock.settle();
    expect(api.peek(corev1.secrets, 'team/s')?.data?.['token']).toBeDefined();
    await accounts.delete('robot');
    await accounts.create({ metadata: { name: 'robot' } });
    await clock.settle();
    expect(api.peek(corev1.secrets, 'team/s')).toBeUndefined();
  });

  it('is left alone when it is of another type', async () => {
    await using harness = await start();
    await createNamespace(harness);
    const { api, clock } = harness;
    await api.client.resource(corev1.secrets, 'team').create({ ...secret('nobody'), type: 'Opaque' });
    await clock.settle();
    expect(api.peek(corev1.secrets, 'team/s')?.data).toBeUndefined();
  });
});
