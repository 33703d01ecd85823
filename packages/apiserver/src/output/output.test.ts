import { schemaOf, type Schema } from '@k8ts/api';
import { decodeProtobuf, encodeProtobuf, parseYaml } from '@k8ts/apimachinery';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const MAPS = '/api/v1/namespaces/a/configmaps';
const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';
let server: TestServer;

beforeAll(async () => {
  server = await createTestServer();
  for (const name of ['one', 'two'])
    await server.transport.request({
      method: 'POST',
      path: MAPS,
      body: { metadata: { name }, data: { a: name } },
    });
});
afterAll(() => server[Symbol.asyncDispose]());

async function get(path: string, accept: string): Promise<Response> {
  return fetch(server.url + path, { headers: { accept } });
}

async function bytes(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

const schema = (kind: string): Schema => schemaOf('', 'v1', kind) as Schema;

describe('protobuf', () => {
  test('says the same as JSON, for objects and for lists', async () => {
    const object = (await (await get(`${MAPS}/one`, 'application/json')).json()) as object;
    expect(decodeProtobuf(schema('ConfigMap'), await bytes(await get(`${MAPS}/one`, PROTOBUF)))).toEqual(
      object,
    );
    const list = (await (await get(MAPS, 'application/json')).json()) as object;
    expect(decodeProtobuf(schema('ConfigMapList'), await bytes(await get(MAPS, PROTOBUF)))).toMatchObject(
      list,
    );
  });

  test('is taken for writes, options included', async () => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'proto' }, data: { x: 'y' } };
    const made = await fetch(server.url + MAPS, {
      method: 'POST',
      headers: { 'content-type': PROTOBUF, accept: PROTOBUF },
      body: encodeProtobuf(schema('ConfigMap'), object) as Uint8Array<ArrayBuffer>,
    });
    expect(made.status).toBe(201);
    expect(decodeProtobuf(schema('ConfigMap'), await bytes(made))).toMatchObject({ data: { x: 'y' } });
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: 'other' } };
    const refused = await fetch(`${server.url}${MAPS}/proto`, {
      method: 'DELETE',
      headers: { 'content-type': PROTOBUF },
      body: encodeProtobuf(schema('DeleteOptions'), options) as Uint8Array<ArrayBuffer>,
    });
    expect(refused.status).toBe(409);
  });

  test('frames watch events by their length', async () => {
    const response = await get(
      `${MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Done`,
      PROTOBUF,
    );
    expect(response.headers.get('content-type')).toBe(`${PROTOBUF};stream=watch`);
    const stream = await bytes(response);
    const length = stream.readUInt32BE(0);
    expect(stream.subarray(4, 4 + length).includes('ADDED')).toBe(true);
    expect(stream.subarray(4, 4 + length).includes('k8s\0')).toBe(true);
    expect(stream.length).toBe(4 + length);
  });

  test('of what has none falls back to what else is accepted', async () => {
    const table = await get(MAPS, `${PROTOBUF};as=Table;v=v1;g=meta.k8s.io,${TABLE},application/json`);
    expect(table.headers.get('content-type')).toBe('application/json');
    expect(((await table.json()) as { kind: string }).kind).toBe('Table');
  });
});

test('YAML says the same as JSON', async () => {
  const list = (await (await get(MAPS, 'application/json')).json()) as object;
  expect(parseYaml(await (await get(MAPS, 'application/yaml')).text()).value).toEqual(list);
});

describe('tables', () => {
  interface Table {
    readonly kind: string;
    readonly metadata: {
      readonly resourceVersion: string;
      readonly continue?: string;
      readonly remainingItemCount?: number;
    };
    readonly columnDefinitions: readonly { readonly name: string }[];
    readonly rows: readonly {
      readonly cells: readonly unknown[];
      readonly object: { readonly kind?: string } | null;
    }[];
  }
  const table = async (query: string): Promise<Table> =>
    (await (await get(`${MAPS}${query}`, TABLE)).json()) as Table;

  test('carry the metadata of the list', async () => {
    const page = await table('?limit=1');
    expect(page.columnDefinitions[0]?.name).toBe('Name');
    expect(page.rows.map(({ cells }) => cells[0])).toEqual(['one']);
    expect(page.metadata.remainingItemCount).toBe(2);
    expect((await table(`?limit=5&continue=${page.metadata.continue}`)).rows).toHaveLength(2);
  });

  test.each([
    ['', 'PartialObjectMetadata'],
    ['?includeObject=Metadata', 'PartialObjectMetadata'],
    ['?includeObject=Object', 'ConfigMap'],
    ['?includeObject=None', undefined],
  ])('rows with %j hold %s', async (query, kind) => {
    expect((await table(query)).rows[0]?.object?.kind).toBe(kind);
  });

  test('of metadata only are lists and objects of their own kind', async () => {
    const as = (kind: string): string => `application/json;as=${kind};v=v1;g=meta.k8s.io`;
    expect(await (await get(MAPS, as('PartialObjectMetadataList'))).json()).toMatchObject({
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      items: [{ kind: 'PartialObjectMetadata', metadata: { name: 'one' } }, {}, {}],
    });
    expect(await (await get(`${MAPS}/one`, as('PartialObjectMetadata'))).json()).not.toHaveProperty('data');
    expect((await get(MAPS, as('PartialObjectMetadata'))).status).toBe(406);
    expect((await get(`${MAPS}/one`, as('PartialObjectMetadataList'))).status).toBe(406);
  });
});
