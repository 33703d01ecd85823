import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { deflateRawSync, gunzipSync, gzipSync, inflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { rewriteLinks } from './proxied-html.ts';
import { rewriteLink, type ProxiedPage } from './proxied-links.ts';

const PREFIX = '/api/v1/namespaces/a/services/http:web:80/proxy';
const PAGE: ProxiedPage = { prefix: PREFIX, authority: '10.0.0.1:80', requestHost: 'localhost:8001' };

describe('a link', () => {
  test.each([
    ['/', `${PREFIX}/`],
    ['/a/b?c=/d#e', `${PREFIX}/a/b?c=/d#e`],
    ['a/b', 'a/b'],
    ['', ''],
    ['#top', '#top'],
    ['?q', '?q'],
    ['mailto:a@b', 'mailto:a@b'],
    ['javascript:x()', 'javascript:x()'],
    ['http://10.0.0.1:80/a', `${PREFIX}/a`],
    ['//10.0.0.1:80/a', `${PREFIX}/a`],
    ['http://10.0.0.1:80', 'http://10.0.0.1:80'],
    ['https://localhost:8001/a', `https://localhost:8001${PREFIX}/a`],
    ['https://elsewhere/a', 'https://elsewhere/a'],
    ['//elsewhere/a', '//elsewhere/a'],
    [`${PREFIX}/a`, `${PREFIX}/a`],
  ])('%j becomes %j', (link, expected) => {
    expect(rewriteLink(link, PAGE)).toBe(expected);
  });
});

const rewrite = async (html: Buffer | string, encoding = ''): Promise<Buffer> => {
  const body = Readable.from(typeof html === 'string' ? [Buffer.from(html)] : inPieces(html));
  return buffer(rewriteLinks(body, encoding, PAGE) as Readable);
};

/** A page comes in pieces that end anywhere. */
function inPieces(bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / 7) }, (_, at) => bytes.subarray(at * 7, at * 7 + 7));
}

describe('a page', () => {
  test.each([
    ['<a href="/x">y</a>', `<a href="${PREFIX}/x">y</a>`],
    ["<A HREF = '/x' title='/x'>", `<A HREF = '${PREFIX}/x' title='/x'>`],
    ['<img src=/x alt=/y>', `<img src=${PREFIX}/x alt=/y>`],
    [
      '<img longdesc="/1" src="2" usemap="/3"/>',
      `<img longdesc="${PREFIX}/1" src="2" usemap="${PREFIX}/3"/>`,
    ],
    ['<a href="/?a=1&amp;b=&eacute;">', `<a href="${PREFIX}/?a=1&amp;b=&eacute;">`],
    ['<script src="/s.js">"<a href=/x>"</script>', `<script src="${PREFIX}/s.js">"<a href=/x>"</script>`],
    ['<!-- <a href="/x"> --><p class="/x">/x', '<!-- <a href="/x"> --><p class="/x">/x'],
    ['<a href>', '<a href>'],
    ['<a href="/x" href="/y">', `<a href="${PREFIX}/x" href="/y">`],
    ['<base href="/">\r\n<br/ ><<a>', `<base href="${PREFIX}/">\r\n<br/ ><<a>`],
    // A tag that does not end is none; browsers leave it out too.
    ['a<a href="/x', 'a'],
  ])('%s', async (html, expected) => {
    expect((await rewrite(html)).toString()).toBe(expected);
    expect((await rewrite(Buffer.from(html))).toString()).toBe(expected);
  });

  test.each([
    ['gzip', gzipSync, gunzipSync],
    ['deflate', deflateRawSync, inflateRawSync],
  ] as const)('in %s', async (encoding, pack, unpack) => {
    const rewritten = await rewrite(pack('<a href="/x">é</a>'), encoding);
    expect(unpack(rewritten).toString()).toBe(`<a href="${PREFIX}/x">é</a>`);
  });

  test('in an encoding that is not known stays as it is', () => {
    expect(rewriteLinks(Readable.from([]), 'br', PAGE)).toBeUndefined();
  });

  test('keeps every byte but the links', async () => {
    const bytes = Buffer.from([0x3c, 0x70, 0x3e, 0x00, 0xe9, 0xff, 0xfe, 0x0d, 0x0a, 0xc3, 0x3c]);
    expect(await rewrite(bytes)).toEqual(bytes);
  });

  test('that breaks off, breaks off', async () => {
    const body = new Readable({
      read() {
        this.push('<a href="/x">');
        this.destroy(new Error('gone'));
      },
    });
    await expect(buffer(rewriteLinks(body, '', PAGE) as Readable)).rejects.toThrow();
    await expect(rewrite(Buffer.from('no gzip'), 'gzip')).rejects.toThrow();
  });
});
