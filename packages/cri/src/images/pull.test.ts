import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { realClock, silentLogger } from '@k8ts/base';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../testing/test-registry.ts';
import type { TestRegistry, TestRegistryOptions } from '../testing/test-registry.ts';
import { sha256 } from './digest.ts';
import { ImageStore } from './image-store.ts';
import type { ImageLimits } from './image-store.ts';
import { hostPlatform } from './manifest.ts';
import { pullImage } from './pull.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name, mtime: new Date(0) }, content);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

interface Published {
  readonly manifest: string;
  readonly config: string;
  readonly layers: readonly string[];
}

/** Puts an image of layers of one file each into a registry. */
async function publish(
  registry: TestRegistry,
  repository: string,
  tag: string | undefined,
  contents: readonly string[],
): Promise<Published> {
  const layers = [];
  const diffIds = [];
  for (const content of contents) {
    const tar = await tarOf({ [`file-${content}`]: content });
    diffIds.push(sha256(tar));
    layers.push({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      ...registry.putBlob(gzipSync(tar)),
    });
  }
  const config = registry.putBlob(
    JSON.stringify({
      ...hostPlatform(),
      config: { Cmd: ['x'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  );
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config: { mediaType: '', ...config }, layers };
  return {
    manifest: registry.putManifest(repository, MANIFEST, manifest, tag),
    config: config.digest,
    layers: layers.map(({ digest }) => digest),
  };
}

describe('pulling images', () => {
  let directory: string;
  let registry: TestRegistry;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'k8ts-pull-'));
  });
  afterEach(async () => {
    await registry?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  async function setUp(
    options: TestRegistryOptions = {},
    limits: Partial<ImageLimits> = {},
  ): Promise<ImageStore> {
    registry = await startTestRegistry(options);
    return ImageStore.open({ directory, clock: realClock, logger: silentLogger, limits });
  }

  async function filesOf(store: ImageStore, name: string): Promise<readonly string[]> {
    const image = store.find(name);
    const lists = await Promise.all(
      store.layers(image ?? expect.fail('no image')).map((layer) => readdir(layer)),
    );
    return lists.flat();
  }

  it('fetches by tag and by digest', async () => {
    const store = await setUp();
    const { manifest, config } = await publish(registry, 'team/app', 'v1', ['a', 'b']);
    const name = `${registry.host}/team/app`;
    const image = await pullImage(store, `${name}:v1`);
    expect(image).toMatchObject({
      id: config,
      repoTags: [`${name}:v1`],
      repoDigests: [`${name}@${manifest}`],
    });
    expect(await filesOf(store, `${name}:v1`)).toEqual(['file-a', 'file-b']);
    expect((await pullImage(store, `${name}@${manifest}`)).id).toBe(config);
    expect(store.find(`${name}@${manifest}`)?.id).toBe(config);
    // Only the manifest again: the layers are there.
    expect(registry.requests.filter((request) => request.includes('/store/sha256')).length).toBe(4);
    expect(await readdir(join(directory, 'tmp'))).toEqual([]);
  });

  it('takes the manifest of its platform from an index', async () => {
    const store = await setUp();
    const { manifest, config } = await publish(registry, 'app', undefined, ['mine']);
    const other = await publish(registry, 'app', undefined, ['other']);
    const entry = (digest: string, platform: unknown): unknown => ({
      mediaType: MANIFEST,
      digest,
      size: 1,
      platform,
    });
    registry.putManifest(
      'app',
      INDEX,
      {
        schemaVersion: 2,
        manifests: [
          entry(other.manifest, { os: 'linux', architecture: 's390x' }),
          entry(manifest, hostPlatform()),
        ],
      },
      'latest',
    );
    expect((await pullImage(store, `${registry.host}/app`)).id).toBe(config);
    registry.putManifest(
      'app',
      INDEX,
      { schemaVersion: 2, manifests: [entry(other.manifest, { os: 'linux', architecture: 's390x' })] },
      'foreign',
    );
    await expect(pullImage(store, `${registry.host}/app:foreign`)).rejects.toThrow(
      'no match for platform in manifest',
    );
  });

  it.each(['basic', 'token'] as const)('shows who it is by %s authentication', async (auth) => {
    const store = await setUp({ auth, username: 'user', password: 'pass:word' });
    const { config } = await publish(registry, 'private', 'latest', ['secret']);
    const name = `${registry.host}/private`;
    const pulled = await pullImage(store, name, { auth: { username: 'user', password: 'pass:word' } });
    expect(pulled.id).toBe(config);
    await expect(pullImage(store, name, { auth: { username: 'user', password: 'wrong' } })).rejects.toThrow(
      /pull access denied.*401/,
    );
    await expect(pullImage(store, name)).rejects.toMatchObject({ reason: 'ErrImagePull' });
  });

  it('gets an anonymous token where one is needed', async () => {
    const store = await setUp({ auth: 'token' });
    const { config } = await publish(registry, 'public/app', 'latest', ['open']);
    expect((await pullImage(store, `${registry.host}/public/app`)).id).toBe(config);
  });

  it('pulls once for all who ask at the same time', async () => {
    const store = await setUp({ blobDelay: 30 });
    await publish(registry, 'app', 'latest', ['a', 'b', 'c', 'd', 'e']);
    const name = `${registry.host}/app`;
    const impatient = new AbortController();
    const pulls = [pullImage(store, name), pullImage(store, `${name}:latest`), pullImage(store, name)];
    const left = pullImage(store, name, { signal: impatient.signal });
    impatient.abort(new Error('does not wait'));
    await expect(left).rejects.toThrow('does not wait');
    expect(new Set((await Promise.all(pulls)).map(({ id }) => id)).size).toBe(1);
    expect(registry.requests.filter((request) => request.includes('/store/')).length).toBe(6);
  });

  it('gives up when nobody waits any more, and leaves nothing', async () => {
    const store = await setUp({ blobDelay: 10_000 });
    await publish(registry, 'app', 'latest', ['a', 'b']);
    const controller = new AbortController();
    const pull = pullImage(store, `${registry.host}/app`, { signal: controller.signal });
    while (!registry.requests.some((request) => request.includes('/blobs/'))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    controller.abort(new Error('enough'));
    await expect(pull).rejects.toThrow('enough');
    expect(store.list()).toEqual([]);
  });

  it.each<[string, (published: Published) => void, RegExp]>([
    [
      'layer',
      ({ layers }) => registry.corruptBlob(layers[0] ?? '', gzipSync('something else')),
      /has the digest|is larger/,
    ],
    ['configuration', ({ config }) => registry.corruptBlob(config, Buffer.from('{}')), /has the digest/],
    [
      'missing layer',
      ({ layers }) => registry.corruptBlob(layers[0] ?? '', Buffer.alloc(0)),
      /has the digest/,
    ],
  ])('refuses a wrong %s', async (_, damage, message) => {
    const store = await setUp();
    damage(await publish(registry, 'app', 'latest', ['some content']));
    await expect(pullImage(store, `${registry.host}/app`)).rejects.toThrow(message);
    expect(store.list()).toEqual([]);
    expect(await readdir(join(directory, 'layers'))).toEqual([]);
    expect(await readdir(join(directory, 'tmp'))).toEqual([]);
  });

  it('refuses a layer that is not the one its configuration names', async () => {
    const store = await setUp();
    const wrong = registry.putBlob(gzipSync(await tarOf({ evil: 'x' })));
    const config = registry.putBlob(
      JSON.stringify({
        ...hostPlatform(),
        config: {},
        rootfs: { type: 'layers', diff_ids: [sha256('other')] },
      }),
    );
    registry.putManifest('app', MANIFEST, { schemaVersion: 2, config, layers: [wrong] }, 'latest');
    await expect(pullImage(store, `${registry.host}/app`)).rejects.toThrow(
      'wrong diff id calculated on extraction',
    );
    expect(await readdir(join(directory, 'layers'))).toEqual([]);
  });

  it('keeps to its limits', async () => {
    const store = await setUp({}, { imageBytes: 10 });
    await publish(registry, 'app', 'latest', ['x']);
    await expect(pullImage(store, `${registry.host}/app`)).rejects.toThrow('the image is too large');
    registry.putManifest('app', MANIFEST, { schemaVersion: 2, padding: 'x'.repeat(5_000_000) }, 'huge');
    await expect(pullImage(store, `${registry.host}/app:huge`)).rejects.toThrow('larger than 4194304 bytes');
  });

  it.each([
    [
      'nothing there',
      'app:none',
      'ErrImagePull',
      /failed to resolve reference ".*\/app:none": .*\/app:none: not found/,
    ],
    ['no name', 'UPPER', 'InvalidImageName', /must be lowercase/],
  ])('says why: %s', async (_, name, reason, message) => {
    const store = await setUp();
    const full = name === 'UPPER' ? name : `${registry.host}/${name}`;
    const failure = await pullImage(store, full).catch((error: unknown) => error);
    expect(failure).toMatchObject({ reason, message: expect.stringMatching(message) as string });
  });

  it('says why: nobody listens', async () => {
    const store = await setUp();
    await expect(pullImage(store, '127.0.0.1:1/app')).rejects.toThrow(
      /failed to do request: Get "http:\/\/127.0.0.1:1\/v2/,
    );
  });

  it('keeps layers that another image or a container uses when an image goes', async () => {
    const store = await setUp();
    await publish(registry, 'one', 'latest', ['shared', 'own']);
    await publish(registry, 'two', 'latest', ['shared']);
    const one = await pullImage(store, `${registry.host}/one`);
    const two = await pullImage(store, `${registry.host}/two`);
    await store.remove(one.id);
    expect(await filesOf(store, two.id)).toEqual(['file-shared']);
    expect((await readdir(join(directory, 'layers'))).length).toBe(1);
    await store.remove(two.id, new Set(two.diffIds));
    expect((await readdir(join(directory, 'layers'))).length).toBe(1);
    await store.collect();
    expect(await readdir(join(directory, 'layers'))).toEqual([]);
    expect(await readdir(join(directory, 'configs'))).toEqual([]);
  });

  it('moves a tag from one image to another, and finds all of it again after a restart', async () => {
    const store = await setUp();
    await publish(registry, 'app', 'latest', ['old']);
    const old = await pullImage(store, `${registry.host}/app`);
    const { config } = await publish(registry, 'app', 'latest', ['new']);
    await pullImage(store, `${registry.host}/app`);
    const again = await ImageStore.open({ directory, clock: realClock, logger: silentLogger });
    expect(again.find(`${registry.host}/app`)?.id).toBe(config);
    expect(again.find(old.id)?.repoTags).toEqual([]);
    expect(JSON.parse(await readFile(join(directory, 'images.json'), 'utf8'))).toMatchObject({
      images: [{}, {}],
    });
  });
});
