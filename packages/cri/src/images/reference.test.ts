import { describe, expect, it } from 'vitest';
import { normalizeReference } from './reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('image references', () => {
  it.each([
    ['redis', 'docker.io/library/redis:latest'],
    ['redis:7', 'docker.io/library/redis:7'],
    ['library/redis', 'docker.io/library/redis:latest'],
    ['bitnami/redis', 'docker.io/bitnami/redis:latest'],
    ['index.docker.io/library/redis', 'docker.io/library/redis:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['registry.k8s.io/pause:3.10', 'registry.k8s.io/pause:3.10'],
    ['[::1]:5000/a/b/c', '[::1]:5000/a/b/c:latest'],
    ['Host/app', 'Host/app:latest'],
    [`redis@${DIGEST}`, `docker.io/library/redis@${DIGEST}`],
    [`redis:7@${DIGEST}`, `docker.io/library/redis@${DIGEST}`],
    ['a__b/c-d.e', 'docker.io/a__b/c-d.e:latest'],
  ])('%s is %s', (text, full) => {
    expect(normalizeReference(text)).toBe(full);
  });

  it.each([
    '',
    'Redis',
    'a/B',
    'redis:',
    'redis:-x',
    `redis:${'x'.repeat(129)}`,
    'redis@sha256:abc',
    'redis@md5:d41d8cd98f00b204e9800998ecf8427e',
    'a//b',
    '/a',
    'a/',
    '../a',
    'a b',
    'http://a/b',
    `${'a/'.repeat(200)}a`,
    'x'.repeat(5000),
  ])('%j is none', (text) => {
    expect(() => normalizeReference(text)).toThrow(
      expect.objectContaining({ reason: 'InvalidImageName' }) as Error,
    );
  });
});
