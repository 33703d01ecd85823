import type { discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { SliceTracker } from './slice-tracker.ts';

const slice = (uid: string, resourceVersion: string): discoveryv1.EndpointSlice => ({
  metadata: { name: uid, uid, resourceVersion },
  addressType: 'IPv4',
});

describe('the tracker of slices', () => {
  it('finds the cache stale until it shows what was written', () => {
    const tracker = new SliceTracker();
    expect(tracker.isStale('s', [])).toBe(false);
    tracker.written('s', slice('a', '10'));
    expect(tracker.isStale('s', [])).toBe(true);
    expect(tracker.isStale('s', [slice('a', '9')])).toBe(true);
    expect(tracker.isStale('s', [slice('a', '10')])).toBe(false);
    expect(tracker.isStale('s', [slice('a', '11')])).toBe(false);
    tracker.deleted('s', slice('a', '11'));
    expect(tracker.isStale('s', [slice('a', '11')])).toBe(true);
    expect(tracker.isStale('s', [])).toBe(false);
  });

  it('tells its own changes from those of others', () => {
    const tracker = new SliceTracker();
    tracker.written('s', slice('a', '10'));
    expect(tracker.isForeign('s', slice('a', '10'))).toBe(false);
    expect(tracker.isForeign('s', slice('a', '12'))).toBe(true);
    expect(tracker.isForeign('s', slice('b', '1'))).toBe(true);
    expect(tracker.observeDeletion('s', slice('a', '12'))).toBe(false);
    tracker.written('s', slice('c', '1'));
    tracker.deleted('s', slice('c', '1'));
    expect(tracker.observeDeletion('s', slice('c', '2'))).toBe(true);
    expect(tracker.isStale('s', [])).toBe(false);
  });
});
