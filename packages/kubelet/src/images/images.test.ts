import { silentLogger, VirtualClock } from '@k8ts/base';
import { type Image, ImagePullError, type ImageService, type RegistryAuth } from '@k8ts/cri';
import { describe, expect, it } from 'vitest';

import type { Secret } from '../pod/types.ts';
import { testPod } from '../testing/index.ts';
import { createImageManager, type ImageManager } from './image-manager.ts';
import { credentialsFor } from './pull-secrets.ts';

describe('pull secrets', () => {
  const secret = (auths: object, type: 'json' | 'legacy' = 'json'): Secret => ({
    metadata: { name: 's', namespace: 'default' },
    data: {
      [type === 'json' ? '.dockerconfigjson' : '.dockercfg']: Buffer.from(
        JSON.stringify(type === 'json' ? { auths } : auths),
      ).toString('base64'),
    },
  });
  const auth = (user: string): object => ({
    auth: Buffer.from(`${user}:secret:with:colons`).toString('base64'),
  });
  const users = (image: string, ...secrets: Secret[]): (string | undefined)[] =>
    credentialsFor(image, secrets, silentLogger).map(({ username }) => username);

  for (const [server, image, matches] of [
    ['https://index.docker.io/v1/', 'redis', true],
    ['docker.io', 'team/app:1', true],
    ['registry.example', 'registry.example/app', true],
    ['https://registry.example/v2/', 'registry.example/app', true],
    ['registry.example:5000', 'registry.example:5000/app', true],
    ['registry.example', 'registry.example:5000/app', false],
    ['registry.example/team', 'registry.example/team/app', true],
    ['registry.example/team', 'registry.example/other/app', false],
    ['*.gcr.example', 'eu.gcr.example/app', true],
    ['*.gcr.example', 'a.eu.gcr.example/app', false],
    ['r*.example', 'registry.example/app', true],
    ['other.example', 'registry.example/app', false],
  ] as const)
    it(`${server} ${matches ? 'is' : 'is not'} for ${image}`, () => {
      expect(users(image, secret({ [server]: auth('u') }))).toEqual(matches ? ['u'] : []);
    });

  it('come with the longest match first, from all secrets and both forms', () => {
    expect(
      users(
        'r.example/team/app',
        secret({ 'r.example': auth('general') }),
        secret({ 'r.example/team': auth('special') }, 'legacy'),
      ),
    ).toEqual(['special', 'general']);
    expect(
      credentialsFor('r.example/a', [secret({ 'r.example': auth('u') })], silentLogger)[0]?.password,
    ).toBe('secret:with:colons');
  });

  it('that are broken are skipped', () => {
    const broken = (text: string): Secret => ({
      metadata: { name: 's' },
      data: { '.dockerconfigjson': Buffer.from(text).toString('base64') },
    });
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"auths":[]}',
      '{"auths":{"r.example":null}}',
      '{"auths":{"r.example":{"auth":"bm9jb2xvbg=="}}}',
    ])
      expect(users('r.example/a', broken(text))).toEqual([]);
  });
});

const IMAGE: Image = { id: 'sha256:1', repoTags: [], repoDigests: [], size: 123, pinned: false };

function manager(pull: (image: string, auth?: RegistryAuth) => Promise<string>): {
  manager: ImageManager;
  clock: VirtualClock;
  events: string[];
  pulls: (string | undefined)[];
  ensure(pullPolicy?: string, credentials?: RegistryAuth[], signal?: AbortSignal): Promise<string>;
  present: Set<string>;
} {
  const clock = new VirtualClock();
  const events: string[] = [];
  const pulls: (string | undefined)[] = [];
  const present = new Set<string>();
  const images: ImageService = {
    listImages: async () => [],
    imageStatus: async (image) => (present.has(image) ? IMAGE : undefined),
    async pullImage(image, auth, signal) {
      pulls.push(auth?.username);
      const id = await Promise.race([
        pull(image, auth),
        new Promise<never>((_, reject) =>
          signal?.addEventListener('abort', () => reject(new Error('pull aborted'))),
        ),
      ]);
      present.add(image);
      return id;
    },
    removeImage: async () => undefined,
    imageFsInfo: async () => ({ mountpoint: '', usedBytes: 0, inodesUsed: 0 }),
  };
  const created = createImageManager({
    clock,
    images,
    events: { event: (_about, type, reason, message) => void events.push(`${type} ${reason} ${message}`) },
  });
  return {
    manager: created,
    clock,
    events,
    pulls,
    present,
    ensure: (pullPolicy = 'IfNotPresent', credentials = [], signal = new AbortController().signal) =>
      created
        .ensure({
          pod: testPod(),
          about: { apiVersion: 'v1', kind: 'Pod', name: 'web' },
          image: 'app:1',
          pullPolicy,
          credentials: async () => credentials,
          signal,
        })
        .then(
          ({ id }) => id,
          (error: { reason?: string; message: string }) => `${error.reason ?? 'thrown'}: ${error.message}`,
        ),
  };
}

describe('the image manager', () => {
  it('pulls as the policy says', async () => {
    const one = manager(async () => 'sha256:1');
    expect(await one.ensure('Never')).toBe(
      'ErrImageNeverPull: Container image "app:1" is not present with pull policy of Never',
    );
    expect(await one.ensure()).toBe('sha256:1');
    expect(await one.ensure()).toBe('sha256:1');
    expect(one.pulls).toHaveLength(1);
    await one.ensure('Always');
    expect(one.pulls).toHaveLength(2);
    expect(one.events).toEqual([
      'Warning ErrImageNeverPull Container image "app:1" is not present with pull policy of Never',
      'Normal Pulling Pulling image "app:1"',
      'Normal Pulled Successfully pulled image "app:1" in 0s (0s including waiting). Image size: 123 bytes.',
      'Normal Pulled Container image "app:1" already present on machine and can be accessed by the pod',
      'Normal Pulling Pulling image "app:1"',
      'Normal Pulled Successfully pulled image "app:1" in 0s (0s including waiting). Image size: 123 bytes.',
    ]);
  });

  it('backs off 10 s, 20 s, 40 s … after failures, and says the last one', async () => {
    const one = manager(() => Promise.reject(new ImagePullError('ErrImagePull', 'not found')));
    expect(await one.ensure()).toBe('ErrImagePull: not found');
    expect(await one.ensure()).toBe(
      'ImagePullBackOff: Back-off pulling image "app:1": ErrImagePull: not found',
    );
    const tries: number[] = [];
    for (let second = 1; second <= 80; second++) {
      await one.clock.advance(1000);
      if ((await one.ensure()).startsWith('ErrImagePull')) tries.push(second);
    }
    expect(tries).toEqual([10, 30, 70]);
  });

  it('names an unavailable registry', async () => {
    const one = manager(() => Promise.reject(new ImagePullError('RegistryUnavailable', 'down')));
    expect(await one.ensure()).toBe(
      'RegistryUnavailable: image pull failed for app:1 because the registry is unavailable: down',
    );
  });

  it('tries one credential after the other', async () => {
    const one = manager((_image, auth) =>
      auth?.username === 'b' ? Promise.resolve('sha256:1') : Promise.reject(new Error('denied')),
    );
    expect(await one.ensure('Always', [{ username: 'a' }, { username: 'b' }, { username: 'c' }])).toBe(
      'sha256:1',
    );
    expect(one.pulls).toEqual(['a', 'b']);
  });

  it('makes one pull of many at the same time, and aborts it when all have left', async () => {
    let finish = (_id: string): void => undefined;
    const one = manager(() => new Promise((resolve) => (finish = resolve)));
    const both = Promise.all([one.ensure(), one.ensure()]);
    await one.clock.settle();
    expect(one.pulls).toHaveLength(1);
    finish('sha256:1');
    expect(await both).toEqual(['sha256:1', 'sha256:1']);

    const abort = new AbortController();
    const left = one.ensure('Always', [], abort.signal);
    await one.clock.settle();
    abort.abort(new Error('the pod is gone'));
    expect(await left).toBe('thrown: the pod is gone');
    expect(one.events.filter((event) => event.startsWith('Warning'))).toEqual([]);
  });
});
