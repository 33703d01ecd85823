import { VirtualClock } from '@k8ts/base';

import { describeStoreContract } from '../../testing/store-contract.ts';
import { createMemoryStore } from './memory-store.ts';

describeStoreContract(
  'memory',
  async () => {
    const clock = new VirtualClock();
    return { store: createMemoryStore({ clock }), advance: (milliseconds) => clock.advance(milliseconds) };
  },
  { historySteps: 600 },
);
