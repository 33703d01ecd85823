import { lstat, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { silentLogger } from '@k8ts/base';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from './digest.ts';
import type { TarHeader } from './tar-header.ts';
import { unpackLayer } from './unpack-layer.ts';

type Entry = TarHeader & { readonly content?: string };

async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of entries) {
    if (content !== undefined) archive.entry({ ...header }, content);
    else archive.entry({ type: 'file', ...header }).end(Buffer.alloc(0));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Owners, devices and attributes can be set by root alone. */
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('unpacking a layer (needs root)', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'k8ts-layer-'));
    await writeFile(join(directory, 'outside'), 'untouched');
  });
  afterEach(async () => {
    expect(await readFile(join(directory, 'outside'), 'utf8')).toBe('untouched');
    await rm(directory, { recursive: true });
  });

  const layer = (...path: string[]): string => join(directory, 'layer', ...path);
  const unpack = async (
    entries: readonly Entry[] | Buffer,
    limits = { bytes: 10_000_000, entries: 1000 },
  ): ReturnType<typeof unpackLayer> => {
    const tar = Buffer.isBuffer(entries) ? entries : await tarOf(entries);
    return unpackLayer(Readable.from([tar]), layer(), limits, silentLogger);
  };

  it('keeps modes, owners, times, links, devices and pipes', async () => {
    const mtime = new Date('2020-02-02T02:02:02Z');
    const entries: Entry[] = [
      { name: './', type: 'directory' },
      { name: 'bin/', type: 'directory', mode: 0o2750, uid: 5, gid: 6, mtime },
      { name: 'bin/tool', mode: 0o4711, uid: 1000, gid: 2000, mtime, content: 'program' },
      { name: 'bin/none', mode: 0o10000000, content: 'no permissions' },
      { name: 'bin/hard', type: 'link', linkname: 'bin/tool' },
      { name: 'bin/soft', type: 'symlink', linkname: '../bin/tool' },
      { name: 'far', mode: 0o644, uid: 0, gid: 0, content: '', pax: { uid: '4000000', gid: '5000000' } },
      { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
      { name: 'pipe', type: 'fifo', mode: 0o600 },
    ];
    const tar = await tarOf(entries);
    const result = await unpack(gzipSync(tar));
    expect(result).toEqual({ diffId: sha256(tar), size: tar.length, opaque: [] });
    expect(await lstat(layer('bin'))).toMatchObject({ mode: 0o42750, uid: 5, gid: 6, mtime });
    expect(await lstat(layer('bin/tool'))).toMatchObject({
      mode: 0o104711,
      uid: 1000,
      gid: 2000,
      mtime,
      nlink: 2,
    });
    expect((await lstat(layer('bin/none'))).mode).toBe(0o100000);
    expect(await readlink(layer('bin/soft'))).toBe('../bin/tool');
    expect(await lstat(layer('far'))).toMatchObject({ uid: 4_000_000, gid: 5_000_000 });
    expect((await lstat(layer('dev/null'))).rdev).toBe(0x103);
    expect((await lstat(layer('pipe'))).isFIFO()).toBe(true);
  });

  it('turns whiteouts into what an overlay knows', async () => {
    const { opaque } = await unpack([
      { name: 'etc/', type: 'directory', mode: 0o700 },
      { name: 'etc/.wh.passwd', content: '' },
      { name: 'var/cache/', type: 'directory', mode: 0o711 },
      { name: 'var/cache/.wh..wh..opq', content: '' },
      { name: 'var/cache/new', content: 'x' },
    ]);
    const whiteout = await lstat(layer('etc/passwd'));
    expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);
    expect(opaque).toEqual(['var/cache']);
    expect((await lstat(layer('var/cache'))).mode).toBe(0o40711);
  });

  it.each<[string, readonly Entry[], string]>([
    ['a name that climbs', [{ name: '../../outside', content: 'evil' }], 'outside'],
    ['an absolute name', [{ name: '/outside', content: 'evil' }], 'outside'],
    ['dots in the middle', [{ name: 'a/../../../outside', content: 'evil' }], 'outside'],
    [
      'a link out of the layer',
      [
        { name: 'door', type: 'symlink', linkname: '..' },
        { name: 'door/outside', content: 'evil' },
      ],
      'outside',
    ],
    [
      'an absolute link',
      [
        { name: 'door', type: 'symlink', linkname: '/tmp' },
        { name: 'door/outside', content: 'evil' },
      ],
      'tmp/outside',
    ],
    [
      'a chain of links',
      [
        { name: 'one', type: 'symlink', linkname: 'two' },
        { name: 'two', type: 'symlink', linkname: '../../..' },
        { name: 'one/outside', content: 'evil' },
      ],
      'outside',
    ],
    [
      'a file that was a link',
      [
        { name: 'a', type: 'symlink', linkname: '../outside' },
        { name: 'a', content: 'evil' },
      ],
      'a',
    ],
    [
      'a whiteout through a link',
      [
        { name: 'door', type: 'symlink', linkname: '..' },
        { name: 'door/.wh.outside', content: '' },
      ],
      'outside',
    ],
  ])('keeps %s inside', async (_, entries, where) => {
    await unpack(entries);
    expect(await lstat(layer(where))).toBeDefined();
  });

  it.each<[string, readonly Entry[], RegExp]>([
    [
      'a hard link to what is not in the layer',
      [{ name: 'x', type: 'link', linkname: '../outside' }],
      /which is no file of it/,
    ],
    [
      'a hard link through a link',
      [
        { name: 'door', type: 'symlink', linkname: '..' },
        { name: 'x', type: 'link', linkname: 'door/outside' },
      ],
      /which is no file of it/,
    ],
    [
      'links in a circle',
      [
        { name: 'a', type: 'symlink', linkname: 'b' },
        { name: 'b', type: 'symlink', linkname: 'a' },
        { name: 'a/file', content: 'x' },
      ],
      /too many levels/,
    ],
    [
      'a path below a file',
      [
        { name: 'file', content: 'x' },
        { name: 'file/below', content: 'x' },
      ],
      /below a file/,
    ],
    [
      'a link that becomes a directory',
      [
        { name: 'a', type: 'symlink', linkname: '..' },
        { name: 'a/', type: 'directory' },
        { name: 'a/outside', content: 'evil' },
      ],
      /as a directory and as a file/,
    ],
    ['a whiteout of nothing', [{ name: '.wh.', content: '' }], /impossible name/],
    ['a whiteout of the parent', [{ name: 'a/.wh...', content: '' }], /impossible name/],
    ['a name that is too long', [{ name: 'x/'.repeat(3000) + 'x', content: '' }], /too long/],
  ])('refuses %s', async (_, entries, message) => {
    await expect(unpack(entries)).rejects.toThrow(message);
  });

  it('keeps to its limits', async () => {
    const many = Array.from({ length: 50 }, (_, index) => ({ name: `f${index}`, content: '' }));
    await expect(unpack(many, { bytes: 1e9, entries: 10 })).rejects.toThrow('more than 10 entries');
    const bomb = gzipSync(await tarOf([{ name: 'zeros', content: '\0'.repeat(5_000_000) }]));
    await expect(unpack(bomb, { bytes: 1_000_000, entries: 10 })).rejects.toThrow('larger than the limit');
  });

  it('refuses an extended header that would fill the memory', async () => {
    const tar = await tarOf([{ name: 'x', content: '', pax: { comment: 'y'.repeat(2_000_000) } }]);
    await expect(unpack(tar)).rejects.toThrow('extended header of');
  });

  it.each<[string, Buffer, RegExp]>([
    ['cut off', Buffer.alloc(0), /./],
    ['no tar', Buffer.from('x'.repeat(2048)), /the archive has an entry of impossible size/],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 1, 2]), /xz or bzip2/],
  ])('fails clearly: %s', async (name, bytes, message) => {
    const tar =
      name === 'cut off'
        ? (await tarOf([{ name: 'f', content: 'x'.repeat(3000) }])).subarray(0, 1500)
        : bytes;
    await expect(unpack(tar)).rejects.toThrow(message);
  });

  it('does not let a layer speak to the overlay', async () => {
    await unpack([
      {
        name: 'd/',
        type: 'directory',
        pax: { 'SCHILY.xattr.trusted.overlay.redirect': '/etc', 'SCHILY.xattr.user.kept': 'yes' },
      },
    ]);
    const { execFileSync } = await import('node:child_process');
    const listing = execFileSync('tar', [
      '-c',
      '--xattrs',
      '--xattrs-include=*',
      '--format=pax',
      '-C',
      layer(),
      '.',
    ]).toString('latin1');
    expect(listing).toContain('user.kept=yes');
    expect(listing).not.toContain('redirect');
  });
});
