import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { corev1, rbacv1, type authenticationv1 } from '@k8ts/api';
import { oidcKey, startOidcProvider } from '@k8ts/apiserver/testing';
import { createClient, createHttpTransport, kubeconfigTarget, parseKubeconfig } from '@k8ts/client';
import { Cluster } from '@k8ts/cluster';
import { expect, test } from 'vitest';

import { until } from '../support/waiting.ts';

test('a cluster knows the users of an OpenID issuer, joins nodes by token, and lets the unknown see what it is told', async () => {
  await using provider = await startOidcProvider('ES256');
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-access-'));
  try {
    const configurationFile = join(directory, 'authentication.yaml');
    await writeFile(
      configurationFile,
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'AuthenticationConfiguration',
        anonymous: { enabled: true, conditions: [{ path: '/livez' }] },
        jwt: [
          {
            issuer: { url: provider.url, audiences: ['k8ts'], certificateAuthority: provider.ca },
            claimMappings: {
              username: { expression: "'oidc:' + claims.sub" },
              groups: { expression: 'claims.roles' },
            },
          },
        ],
      }),
    );
    await using cluster = await Cluster.start({
      nodes: 0,
      authentication: { configurationFile, bootstrapTokens: true },
    });
    const { transport } = await kubeconfigTarget(parseKubeconfig(cluster.kubeconfig, 'kubeconfig'));
    const { cert: _cert, key: _key, ...unknown } = transport;
    const as = (token?: string) =>
      createHttpTransport({ ...unknown, ...(token === undefined ? {} : { token }) });
    await using anonymous = as();
    expect(await anonymous.request({ method: 'GET', path: '/livez' })).toBe('ok');
    await expect(anonymous.request({ method: 'GET', path: '/version' })).rejects.toMatchObject({
      status: { code: 401 },
    });

    await cluster.client.resource(rbacv1.clusterRoleBindings).create({
      metadata: { name: 'viewers' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'Group', name: 'viewers', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    const claims = {
      iss: provider.url,
      aud: 'k8ts',
      sub: 'jane',
      exp: Math.floor(performance.timeOrigin / 1000) + 3600,
    };
    await using jane = as(provider.sign({ ...claims, roles: ['viewers'] }));
    const configMaps = createClient(jane).resource(corev1.configMaps, 'default');
    await until(() =>
      configMaps.list().then(
        () => true,
        () => false,
      ),
    );
    await expect(configMaps.create({ metadata: { name: 'a' } })).rejects.toMatchObject({
      status: { code: 403, message: expect.stringContaining('User "oidc:jane" cannot create') as string },
    });
    await using forger = as(provider.sign({ ...claims, roles: ['system:masters'] }, oidcKey('ES256')));
    await expect(forger.request({ method: 'GET', path: '/api/v1/pods' })).rejects.toMatchObject({
      status: { code: 401, message: 'Unauthorized' },
    });

    const encoded = (text: string): string => Buffer.from(text).toString('base64');
    await cluster.client.resource(corev1.secrets, 'kube-system').create({
      metadata: { name: 'bootstrap-token-abcdef' },
      type: 'bootstrap.kubernetes.io/token',
      data: {
        'token-id': encoded('abcdef'),
        'token-secret': encoded('0123456789abcdef'),
        'usage-bootstrap-authentication': encoded('true'),
        'auth-extra-groups': encoded('system:bootstrappers:workers'),
      },
    });
    const review = async (token: string, audiences?: string[]): Promise<unknown> => {
      const spec = { token, ...(audiences === undefined ? {} : { audiences }) };
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      const admin = createHttpTransport(transport);
      await using _admin = admin;
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec };
      return (await admin.request<authenticationv1.TokenReview>({ method: 'POST', path, body })).status;
    };
    expect(await review('abcdef.0123456789abcdef')).toMatchObject({
      authenticated: true,
      user: {
        username: 'system:bootstrap:abcdef',
        groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'],
      },
    });
    expect(await review('abcdef.0123456789abcdee')).toMatchObject({ error: 'invalid bearer token' });
    expect(await review('abcdef.0123456789abcdef', ['vault'])).toMatchObject({
      error: 'invalid bearer token',
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});
