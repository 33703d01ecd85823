import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
const TIMED_OUT = {
  status: 'Failure',
  message: 'Timeout: request did not complete within the allotted timeout',
  reason: 'Timeout',
  code: 504,
};

let server: TestServer;
let aborted: Promise<unknown>;

beforeAll(async () => {
  let told: (reason: unknown) => void = () => undefined;
  aborted = new Promise((resolve) => {
    told = resolve;
  });
  server = await createTestServer({
    requestTimeout: 1_500,
    otherPaths: new Map([
      [
        '/never',
        ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              told(signal.reason);
              reject(signal.reason as Error);
            });
          }),
      ],
    ]),
  });
  await server.transport.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { metadata: { name: 'default' } },
  });
});
afterAll(() => server[Symbol.asyncDispose]());

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

describe('a request that takes too long', () => {
  test.concurrent.each([
    ['', 1_500, Infinity],
    ['?timeout=100ms', 100, 1_500],
    ['?timeout=1h', 1_500, Infinity],
    ['?timeout=0s', 1_500, Infinity],
    ['?timeout=-1s', 1_500, Infinity],
  ])('is ended with 504: %s', async (query, shortest, longest) => {
    const started = performance.now();
    const response = await fetch(`${server.url}/never${query}`);
    const took = performance.now() - started;
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject(TIMED_OUT);
    expect(took).toBeGreaterThan(shortest - 20);
    expect(took).toBeLessThan(longest);
  });

  test('is told that nobody waits for it', async () => {
    expect(await aborted).toMatchObject({ message: 'the request took too long' });
  });

  test('because its body does not come loses its connection', async () => {
    const request = httpRequest(`${server.url}${MAPS}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
    });
    request.on('error', () => undefined);
    request.write('{"metadata":');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const { socket } = response;
    expect(response.statusCode).toBe(504);
    expect(response.headers.connection).toBe('close');
    expect(JSON.parse(await textOf(response))).toMatchObject(TIMED_OUT);
    if (!socket.destroyed) await once(socket, 'close');
  });

  test('because its answer is not read is broken off', async () => {
    const value = 'x'.repeat(500_000);
    for (let count = 0; count < 300; count++)
      await server.transport.request({
        method: 'POST',
        path: MAPS,
        body: { metadata: { name: `large-${count}` }, data: { value } },
      });
    const { port } = new URL(server.url);
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET ${MAPS} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n`);
    await once(socket, 'readable');
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await once(socket, 'close');
    expect(bytes).toBeLessThan(150_000_000);
  });
});

test('a watch may stay', async () => {
  const abort = new AbortController();
  const response = await fetch(`${server.url}${MAPS}?watch=true&resourceVersion=0&timeout=100ms`, {
    signal: abort.signal,
  });
  let isOver = false;
  const reading = response.text().then(
    () => (isOver = true),
    () => undefined,
  );
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(isOver).toBe(false);
  abort.abort();
  await reading;
});

test.each([
  ['10', 'time: missing unit in duration \\"10\\"'],
  ['a', 'time: invalid duration \\"a\\"'],
  ['1y', 'time: unknown unit \\"y\\" in duration \\"1y\\"'],
])('timeout=%s is a 400', async (timeout, message) => {
  const response = await fetch(`${server.url}${MAPS}?timeout=${timeout}`);
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(`invalid timeout specified in the request URL - ${message}`);
});
