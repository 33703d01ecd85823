import { corev1 } from '@k8ts/api';
import { isAlreadyExists } from '@k8ts/apimachinery';

import type { ControllerDefinition } from '../contract.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';

const DEFAULT = 'default';

/** Every active namespace has a service account `default`. */
export const serviceAccountController: ControllerDefinition = {
  name: 'serviceaccount-controller',
  account: 'service-account-controller',
  permissions: [rule(['create'], [''], ['serviceaccounts']), eventsRule],
  queue: 'serviceaccount',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'serviceaccount-controller',
  create: ({ client, informers, queue }) => {
    const namespaces = informers.of(corev1.namespaces);
    const accounts = informers.of(corev1.serviceAccounts);
    const enqueue = ({ metadata }: corev1.Namespace): void => queue.add(metadata.name);
    namespaces.addHandler({ added: enqueue, updated: enqueue });
    accounts.addHandler({
      deleted: ({ metadata }) => {
        if (metadata.name === DEFAULT && metadata.namespace !== undefined) queue.add(metadata.namespace);
      },
    });
    return {
      reconcile: async (namespace) => {
        if (namespaces.lister.byKey(namespace)?.status?.phase !== 'Active') return;
        if (accounts.lister.get(namespace, DEFAULT) !== undefined) return;
        try {
          await client
            .resource(corev1.serviceAccounts, namespace)
            .create({ metadata: { name: DEFAULT, namespace } });
        } catch (error) {
          if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
        }
      },
    };
  },
};
