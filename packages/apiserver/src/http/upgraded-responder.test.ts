import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
let server: TestServer;
beforeAll(async () => {
  server = await createTestServer();
  const body = { metadata: { name: 'default' } };
  await server.transport.request({ method: 'POST', path: '/api/v1/namespaces', body });
});
afterAll(() => server[Symbol.asyncDispose]());

async function get(path: string, protocol: string): Promise<{ code: number; text: string; closes: boolean }> {
  const request = httpRequest(server.url + path, { headers: { connection: 'Upgrade', upgrade: protocol } });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { code: response.statusCode ?? 0, text, closes: response.headers.connection === 'close' };
}

test.each([
  ['h2c', '/version', 200, '"gitVersion"'],
  ['h2c', MAPS, 200, '"ConfigMapList"'],
  ['websocket', MAPS, 200, '"ConfigMapList"'],
  ['websocket', `${MAPS}/none`, 404, '"reason":"NotFound"'],
  ['SPDY/3.1', '/nothing', 404, ''],
  ['websocket', '/api/v1/namespaces/%zz/configmaps', 200, '"ConfigMapList"'],
  ['websocket', '/%', 404, ''],
  ['websocket', `${MAPS}?timeout=x`, 400, 'invalid timeout'],
  ['websocket', `${MAPS}?watch=true&resourceVersion=x`, 400, 'invalid syntax'],
])('what does not become %s is answered plainly: %s', async (protocol, path, code, text) => {
  const answer = await get(path, protocol);
  expect(answer).toMatchObject({ code, closes: true });
  expect(answer.text).toContain(text);
});

test('a watch over a WebSocket: one message for each event', async () => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}${MAPS}?watch=true&resourceVersion=0`);
  const messages: {
    readonly type: string;
    readonly object: { readonly metadata: { readonly name: string } };
  }[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    expect(isBinary).toBe(false);
    messages.push(JSON.parse(data.toString()) as (typeof messages)[number]);
  });
  await once(socket, 'open');
  for (const name of ['a', 'b', 'c'])
    await server.transport.request({ method: 'POST', path: MAPS, body: { metadata: { name } } });
  while (messages.length < 3) await once(socket, 'message');
  expect(messages.map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual([
    'ADDED a',
    'ADDED b',
    'ADDED c',
  ]);
  socket.close();
  await once(socket, 'close');
});

test('a watch over a WebSocket ends after its time', async () => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}${MAPS}?watch=true&timeoutSeconds=1`);
  const [code] = (await once(socket, 'close')) as [number];
  expect(code).toBe(1000);
});
