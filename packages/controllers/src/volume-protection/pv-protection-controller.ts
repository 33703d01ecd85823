import { corev1 } from '@k8ts/api';

import type { ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { protect } from './protection.ts';

/** A volume stays as long as it is bound to a claim. */
export const pvProtectionController: ControllerDefinition = {
  name: 'persistentvolume-protection-controller',
  account: 'pv-protection-controller',
  permissions: [rule(['get', 'list', 'watch', 'update'], [''], ['persistentvolumes']), eventsRule],
  queue: 'pvprotection',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'pv-protection-controller',
  create: (context) =>
    protect(context, {
      type: corev1.persistentVolumes,
      finalizer: 'kubernetes.io/pv-protection',
      isUsed: ({ status }) => status?.phase === 'Bound',
    }).controller,
};
