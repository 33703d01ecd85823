import { describe, expect, it } from 'vitest';

import type { PodStatus } from './pod/types.ts';
import { statusPatch } from './status-patch.ts';

const notReady: PodStatus = {
  phase: 'Pending',
  conditions: [
    { type: 'PodScheduled', status: 'True' },
    {
      type: 'Ready',
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [a]',
    },
  ],
};

describe('status patch', () => {
  it('takes out what a condition no longer says', () => {
    const ready: PodStatus = {
      phase: 'Running',
      conditions: [
        { type: 'PodScheduled', status: 'True' },
        { type: 'Ready', status: 'True' },
      ],
    };
    expect(statusPatch(notReady, ready, 'u')).toEqual({
      metadata: { uid: 'u' },
      status: {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True', reason: null, message: null }],
      },
    });
  });

  it('is nothing where nothing differs', () => {
    expect(statusPatch(notReady, structuredClone(notReady), 'u')).toBeUndefined();
  });
});
