import { corev1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { RequestHeaderOptions } from '../authentication/plugins/request-header.ts';
import { testAuthority } from '../testing/certificates.ts';
import { createTestServer } from '../testing/test-server.ts';
import { authenticationData, clusterAuthenticationTrustHook } from './cluster-authentication-trust.ts';
import { systemNamespacesHook } from './system-objects.ts';

const clientCa = testAuthority('kubernetes').cert;
const proxyCa = testAuthority('front-proxy-ca').cert;
const requestHeader: RequestHeaderOptions = {
  clientCa: proxyCa,
  allowedNames: ['front-proxy-client'],
  usernameHeaders: ['X-Remote-User'],
  uidHeaders: ['X-Remote-Uid'],
  groupHeaders: ['X-Remote-Group'],
  extraHeaderPrefixes: ['X-Remote-Extra-'],
};
const OWN = {
  'client-ca-file': clientCa,
  'requestheader-client-ca-file': proxyCa,
  'requestheader-allowed-names': '["front-proxy-client"]',
  'requestheader-username-headers': '["X-Remote-User"]',
  'requestheader-uid-headers': '["X-Remote-Uid"]',
  'requestheader-group-headers': '["X-Remote-Group"]',
  'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
};
const now = Date.now();

describe('the data of extension-apiserver-authentication', () => {
  test('is what this server trusts', () => {
    expect(authenticationData({}, { clientCa, requestHeader }, now)).toEqual(OWN);
    expect(authenticationData({}, { clientCa }, now)).toEqual({ 'client-ca-file': clientCa });
    expect(authenticationData({}, {}, now)).toEqual({});
  });

  test('keeps what other servers trust, each once', () => {
    const other = testAuthority('other').cert;
    const both = authenticationData(
      {
        ...OWN,
        'client-ca-file': other + clientCa,
        'requestheader-allowed-names': '["theirs","front-proxy-client"]',
        'something-else': 'goes',
      },
      { clientCa, requestHeader },
      now,
    );
    expect(both).toEqual({
      ...OWN,
      'client-ca-file': other + clientCa,
      'requestheader-allowed-names': '["theirs","front-proxy-client"]',
    });
  });

  test('drops certificates that have expired, and refuses what is no list', () => {
    expect(authenticationData(OWN, {}, now + 10 * 24 * 3600 * 1000)).toEqual({});
    expect(() => authenticationData({ 'requestheader-allowed-names': '{}' }, {}, now)).toThrow(
      'not a list of strings',
    );
  });
});

test('the ConfigMap is there from the start, and comes back when it is changed or deleted', async () => {
  await using server = await createTestServer({
    postStartHooks: [systemNamespacesHook, clusterAuthenticationTrustHook({ clientCa, requestHeader })],
  });
  const { registry } = server.server;
  await server.server.ready;
  const read = async (): Promise<object | undefined> =>
    (await registry.find(corev1.configMaps, 'kube-system', 'extension-apiserver-authentication'))?.data;
  expect(await read()).toEqual(OWN);
  await registry.update(corev1.configMaps, 'kube-system', 'extension-apiserver-authentication', (draft) => {
    draft.data = { 'client-ca-file': 'nothing' };
  });
  await expect.poll(read).toEqual(OWN);
  await registry.delete(corev1.configMaps, 'kube-system', 'extension-apiserver-authentication', {});
  await expect.poll(read).toEqual(OWN);
});
