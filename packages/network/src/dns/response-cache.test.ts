import { VirtualClock } from '@k8ts/base';
import { describe, expect, it } from 'vitest';

import { ResponseCache } from './response-cache.ts';

const meta = { code: 0, truncated: false, ttl: 20, ttlOffsets: [4] };
function message(ttl: number, size = 16): Buffer {
  const buffer = Buffer.alloc(size);
  buffer.writeUInt32BE(ttl, 4);
  return buffer;
}

describe('ResponseCache', () => {
  it('keeps answers as long as they last, at most its own limit, and counts down', async () => {
    const clock = new VirtualClock();
    const cache = new ResponseCache(clock, 30);
    cache.put('short', message(20), meta);
    cache.put('long', message(3600), { ...meta, ttl: 3600 });
    await clock.advance(19_500);
    expect(cache.get('short')?.readUInt32BE(4)).toBe(1);
    expect(cache.get('long')?.readUInt32BE(4)).toBe(3581);
    await clock.advance(500);
    expect(cache.get('short')).toBeUndefined();
    await clock.advance(10_000);
    expect(cache.get('long')).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  it('hands out copies', () => {
    const cache = new ResponseCache(new VirtualClock(), 30);
    cache.put('a', message(20), meta);
    cache.get('a')?.fill(255);
    expect(cache.get('a')?.readUInt32BE(4)).toBe(20);
  });

  it.each([
    ['cut', { ...meta, truncated: true }],
    ['without lifetime', { ...meta, ttl: 0 }],
    ['failures', { ...meta, code: 2 }],
  ])('keeps no answers that are %s', (_what, about) => {
    const cache = new ResponseCache(new VirtualClock(), 30);
    cache.put('a', message(20), about);
    expect(cache.get('a')).toBeUndefined();
  });

  it('keeps that names do not exist', () => {
    const cache = new ResponseCache(new VirtualClock(), 30);
    cache.put('a', message(20), { ...meta, code: 3 });
    expect(cache.get('a')).toBeDefined();
  });

  it('lets the least recently used go, by number and by size', () => {
    const cache = new ResponseCache(new VirtualClock(), 30);
    for (let i = 0; i < 10_000; i++) cache.put(`${i}`, message(20), meta);
    cache.get('0');
    cache.put('more', message(20), meta);
    expect([cache.size, cache.get('0') !== undefined, cache.get('1')]).toEqual([10_000, true, undefined]);
    for (let i = 0; i < 400; i++) cache.put(`large ${i}`, message(20, 65_000), meta);
    expect(cache.size).toBeLessThan(300);
  });
});
