import type { resourcev1 } from '@k8ts/api';

import { addQuantities, parseQuantity } from '../quantity.ts';
import type { Amounts } from '../resource-amounts.ts';
import type { QuotaEvaluator } from './contract.ts';
import { objectCountName, ONE } from './object-counts.ts';

const GROUP = 'resource.k8s.io';
const COUNT = objectCountName(GROUP, 'resourceclaims');
/** `gpu.deviceclass.resource.k8s.io/devices` is how many devices of class `gpu` are claimed. */
const DEVICES = '.deviceclass.resource.k8s.io/devices';
/** The most devices that one claim can be given (AllocationResultsMaxSize). */
const MAX_DEVICES = 32;

export const resourceClaimEvaluator: QuotaEvaluator = {
  group: GROUP,
  resource: 'resourceclaims',
  readsObjects: true,
  counts: (name) => name === COUNT || name.endsWith(DEVICES),
  handles: ({ subresource }) => subresource === '',
  usage(object) {
    const usage: Amounts = new Map([[COUNT, ONE]]);
    for (const { exactly, firstAvailable = [] } of (object as resourcev1.ResourceClaim).spec.devices
      ?.requests ?? []) {
      // One of the alternatives will be taken: of each class, the most that any of them wants.
      const most = new Map<string, number>();
      for (const request of firstAvailable.length > 0
        ? firstAvailable
        : exactly === undefined
          ? []
          : [exactly]) {
        const name = request.deviceClassName + DEVICES;
        most.set(name, Math.max(most.get(name) ?? 0, devicesOf(request)));
      }
      for (const [name, count] of most) {
        const amount = parseQuantity(String(count));
        const known = usage.get(name);
        usage.set(name, known === undefined ? amount : addQuantities(known, amount));
      }
    }
    return usage;
  },
};

function devicesOf({ allocationMode, count }: { allocationMode?: string; count?: number }): number {
  if (allocationMode === 'All') return MAX_DEVICES;
  return allocationMode === 'ExactCount' ? (count ?? 0) : 0;
}
