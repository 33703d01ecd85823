import { createPublicKey, verify } from 'node:crypto';

import { authenticationv1, authorizationv1, corev1, rbacv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { podOf, useSuite, watch } from './support.ts';

const ROOT_CA = 'kube-root-ca.crt';

describe('service accounts and reviews', () => {
  const suite = useSuite();

  it('[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]', async () => {
    const namespace = await suite.namespace();
    const accounts = suite.client.resource(corev1.serviceAccounts, namespace);
    const labelSelector = 'test-serviceaccount-static=true';
    await using watcher = await watch(accounts, { labelSelector });
    await accounts.create({ metadata: { name: 'life', labels: { 'test-serviceaccount-static': 'true' } } });
    await watcher.until('ADDED');
    await accounts.patch('life', { automountServiceAccountToken: false }, { type: 'strategic' });
    await watcher.until('MODIFIED', (account) => account.automountServiceAccountToken === false);
    const everywhere = await suite.client.resource(corev1.serviceAccounts).list({ labelSelector });
    expect(everywhere.items.map(({ metadata }) => metadata.namespace)).toEqual([namespace]);
    await accounts.deleteCollection({ labelSelector });
    await watcher.until('DELETED');
  });

  it('[sig-auth] ServiceAccounts should update a ServiceAccount [Conformance]', async () => {
    const namespace = await suite.namespace();
    const accounts = suite.client.resource(corev1.serviceAccounts, namespace);
    const created = await accounts.create({ metadata: { name: 'e2e-sa' } });
    await accounts.update({ ...created, automountServiceAccountToken: true });
    expect((await accounts.get('e2e-sa')).automountServiceAccountToken).toBe(true);
  });

  it('[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    const certificate = async (): Promise<string | undefined> =>
      configMaps.get(ROOT_CA).then(
        ({ data }) => data?.['ca.crt'],
        () => undefined,
      );
    await until(async () => (await certificate()) !== undefined);
    const original = await certificate();
    expect(original).toContain('BEGIN CERTIFICATE');
    // It comes back after a deletion, and after a change.
    await configMaps.delete(ROOT_CA);
    await until(async () => (await certificate()) === original);
    await configMaps.patch(ROOT_CA, { data: { 'ca.crt': '' } }, { type: 'merge' });
    await until(async () => (await certificate()) === original);
  });

  it('[sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]', async () => {
    const namespace = await suite.namespace();
    const accounts = suite.client.resource(corev1.serviceAccounts, namespace);
    await accounts.create({ metadata: { name: 'mount' } });
    await accounts.create({ metadata: { name: 'nomount' }, automountServiceAccountToken: false });
    const cases: readonly (readonly [string, boolean | undefined, boolean])[] = [
      ['mount', undefined, true],
      ['mount', true, true],
      ['mount', false, false],
      ['nomount', undefined, false],
      ['nomount', true, true],
      ['nomount', false, false],
    ];
    const pods = suite.client.resource(corev1.pods, namespace);
    for (const [serviceAccountName, automount, mounted] of cases) {
      const { metadata, spec } = await pods.create(
        podOf(`${serviceAccountName}-${String(automount)}`, {
          spec: {
            serviceAccountName,
            ...(automount === undefined ? {} : { automountServiceAccountToken: automount }),
          },
        }),
      );
      const mounts = (spec?.containers[0]?.volumeMounts ?? []).map(({ mountPath }) => mountPath);
      expect([metadata.name, mounts.includes('/var/run/secrets/kubernetes.io/serviceaccount')]).toEqual([
        metadata.name,
        mounted,
      ]);
    }
  });

  it('[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview [Conformance]', async () => {
    const namespace = await suite.namespace();
    const accounts = suite.client.resource(corev1.serviceAccounts, namespace);
    const account = await accounts.create({ metadata: { name: 'e2e' } });
    const request = await accounts.createSubresource<authenticationv1.TokenRequest>('e2e', 'token', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 600 },
    });
    const token = request.status?.token ?? '';
    expect(token.split('.')).toHaveLength(3);
    const review = await suite.client
      .resource(authenticationv1.tokenReviews)
      .create({ metadata: {}, spec: { token } });
    expect(review.status).toMatchObject({
      authenticated: true,
      user: {
        username: `system:serviceaccount:${namespace}:e2e`,
        uid: account.metadata.uid,
        groups: expect.arrayContaining([`system:serviceaccounts:${namespace}`]) as string[],
      },
    });
    // The token opens the API as that account.
    const answer = await fetchAs(token, '/apis/authentication.k8s.io/v1/selfsubjectreviews');
    expect(answer).toMatchObject({
      status: { userInfo: { username: `system:serviceaccount:${namespace}:e2e` } },
    });
    const broken = await suite.client
      .resource(authenticationv1.tokenReviews)
      .create({ metadata: {}, spec: { token: `${token}x` } });
    expect(broken.status?.authenticated ?? false).toBe(false);
  });

  const fetchAs = async (token: string, path: string): Promise<unknown> =>
    (
      await suite.wire.send('POST', path, {
        headers: { authorization: `Bearer ${token}` },
        anonymous: true,
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
      })
    ).json();

  it('[sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer [Conformance]', async () => {
    interface Configuration {
      readonly issuer: string;
      readonly response_types_supported: readonly string[];
      readonly jwks_uri: string;
      readonly id_token_signing_alg_values_supported: readonly string[];
    }
    const configuration = await suite.client.raw<Configuration>('/.well-known/openid-configuration');
    expect(configuration.response_types_supported).toEqual(['id_token']);
    const keys = await suite.client.raw<{
      readonly keys: readonly { readonly kid: string; readonly alg: string }[];
    }>('/openid/v1/jwks');
    const namespace = await suite.namespace();
    const request = await suite.client
      .resource(corev1.serviceAccounts, namespace)
      .createSubresource<authenticationv1.TokenRequest>('default', 'token', {
        spec: { audiences: ['oidc-discovery-test'] },
      });
    const [header, payload] = (request.status?.token ?? '')
      .split('.')
      .map(
        (part) =>
          JSON.parse(part.startsWith('ey') ? Buffer.from(part, 'base64url').toString() : '{}') as Record<
            string,
            unknown
          >,
      );
    expect(payload).toMatchObject({ iss: configuration.issuer, aud: ['oidc-discovery-test'] });
    const key = keys.keys.find(({ kid }) => kid === header?.['kid']);
    expect(key?.alg).toBe(header?.['alg']);
    expect(configuration.id_token_signing_alg_values_supported).toContain(key?.alg);
    // As in a pod: verified with nothing but what is published.
    const [signedHeader, signedPayload, signature] = (request.status?.token ?? '').split('.');
    expect(
      verify(
        'sha256',
        Buffer.from(`${signedHeader}.${signedPayload}`),
        { key: createPublicKey({ key: key as never, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
        Buffer.from(signature ?? '', 'base64url'),
      ),
    ).toBe(true);
  });

  it('[sig-auth] SubjectReview should support SubjectReview API operations [Conformance]', async () => {
    const namespace = await suite.namespace();
    const user = `system:serviceaccount:${namespace}:e2e`;
    await suite.client.resource(corev1.serviceAccounts, namespace).create({ metadata: { name: 'e2e' } });
    const spec = {
      resourceAttributes: { group: '', verb: 'list', resource: 'configmaps', namespace, version: 'v1' },
      user,
    };
    const review = async (): Promise<boolean | undefined> => {
      const everywhere = await suite.client
        .resource(authorizationv1.subjectAccessReviews)
        .create({ metadata: {}, spec });
      const local = await suite.client
        .resource(authorizationv1.localSubjectAccessReviews, namespace)
        .create({ metadata: {}, spec });
      expect(local.status?.allowed).toBe(everywhere.status?.allowed);
      return everywhere.status?.allowed;
    };
    const asked = suite.cluster.clientFor(user, [
      'system:serviceaccounts',
      `system:serviceaccounts:${namespace}`,
    ]);
    const lists = async (): Promise<boolean> =>
      asked
        .resource(corev1.configMaps, namespace)
        .list()
        .then(
          () => true,
          () => false,
        );
    // What the reviews say is what happens.
    expect(await review()).toBe(false);
    expect(await lists()).toBe(false);
    await suite.client.resource(rbacv1.roleBindings, namespace).create({
      metadata: { name: 'view' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', name: 'e2e', namespace }],
    });
    await until(async () => (await review()) === true);
    expect(await lists()).toBe(true);
  });
});
