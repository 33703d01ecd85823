import { expect, test } from 'vitest';
import { queryFromText } from './query.ts';
import { parseRequestInfo, type RequestInfo } from './request-info.ts';

const empty: RequestInfo = {
  isResourceRequest: true,
  path: '',
  verb: '',
  group: '',
  version: 'v1',
  namespace: '',
  resource: '',
  subresource: '',
  name: '',
  rest: [],
  watchPrefix: false,
};

test.each<[string, string, Partial<RequestInfo>]>([
  ['GET', '/api/v1/namespaces', { verb: 'list', resource: 'namespaces' }],
  ['GET', '/api/v1/namespaces/a', { verb: 'get', resource: 'namespaces', namespace: 'a', name: 'a' }],
  [
    'PUT',
    '/api/v1/namespaces/a/finalize',
    { verb: 'update', resource: 'namespaces', namespace: 'a', name: 'a', subresource: 'finalize' },
  ],
  ['GET', '/api/v1/namespaces/a/pods', { verb: 'list', namespace: 'a', resource: 'pods' }],
  ['GET', '/api/v1/namespaces/a/pods?watch=1', { verb: 'watch', namespace: 'a', resource: 'pods' }],
  ['GET', '/api/v1/namespaces/a/pods?watch=false', { verb: 'list', namespace: 'a', resource: 'pods' }],
  ['POST', '/api/v1/namespaces/a/pods', { verb: 'create', namespace: 'a', resource: 'pods' }],
  ['HEAD', '/api/v1/namespaces/a/pods/p', { verb: 'get', namespace: 'a', resource: 'pods', name: 'p' }],
  ['DELETE', '/api/v1/namespaces/a/pods', { verb: 'deletecollection', namespace: 'a', resource: 'pods' }],
  [
    'GET',
    '/api/v1/namespaces/a/pods/p/proxy/x%2Fy/z',
    {
      verb: 'get',
      namespace: 'a',
      resource: 'pods',
      name: 'p',
      subresource: 'proxy',
      rest: ['x/y', 'z'],
    },
  ],
  ['GET', '/api/v1/watch/pods', { verb: 'watch', resource: 'pods', watchPrefix: true }],
  [
    'GET',
    '/api/v1/watch/namespaces/a/pods/p',
    { verb: 'watch', namespace: 'a', resource: 'pods', name: 'p', watchPrefix: true },
  ],
  [
    'PATCH',
    '/apis/apps/v1/namespaces/a/deployments/d/scale',
    {
      verb: 'patch',
      group: 'apps',
      namespace: 'a',
      resource: 'deployments',
      name: 'd',
      subresource: 'scale',
    },
  ],
  ['GET', '/api/v1/pods?fieldSelector=metadata.name%3Dp', { verb: 'list', resource: 'pods', name: 'p' }],
  ['GET', '/api/v1/nodes/n%20x', { verb: 'get', resource: 'nodes', name: 'n x' }],
])('%s %s', (method, url, expected) => {
  const [path = '', query = ''] = url.split('?');
  expect(parseRequestInfo(method, path, queryFromText(query))).toEqual({ ...empty, path, ...expected });
});

test.each([
  ['GET', '/'],
  ['GET', '/api'],
  ['GET', '/api/v1'],
  ['GET', '/apis/apps/v1'],
  ['GET', '/healthz/ping'],
  ['GET', '/api/v1/watch'],
  ['POST', '//'],
])('%s %s is not about a resource', (method, path) => {
  expect(parseRequestInfo(method, path, queryFromText(''))).toMatchObject({
    isResourceRequest: false,
    verb: method.toLowerCase(),
    path,
  });
});
