import { corev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';

import type { ControllerDefinition } from '../contract.ts';

const TYPE = 'kubernetes.io/service-account-token';
const NAME_ANNOTATION = 'kubernetes.io/service-account.name';
const UID_ANNOTATION = 'kubernetes.io/service-account.uid';

/**
 * Fills Secrets of type service-account-token, which somebody makes by hand for a token that does not expire, and deletes
 * them together with their service account. (Pods get their tokens from the TokenRequest API instead.)
 */
export const serviceAccountTokenController: ControllerDefinition = {
  name: 'serviceaccount-token-controller',
  account: undefined,
  permissions: [],
  queue: 'serviceaccount_tokens_secret',
  workers: 5,
  maxRetries: 10,
  eventSource: 'serviceaccount-token-controller',
  create: ({ client, informers, queue, options }) => {
    const { rootCA, signServiceAccountToken } = options;
    if (signServiceAccountToken === undefined) return { reconcile: () => Promise.resolve() };
    const accounts = informers.of(corev1.serviceAccounts);
    const secrets = informers.of(corev1.secrets, { fieldSelector: `type=${TYPE}` });
    secrets.addIndex('account', ({ metadata }) => {
      const account = metadata.annotations?.[NAME_ANNOTATION];
      return account === undefined ? [] : [`${metadata.namespace ?? ''}/${account}`];
    });
    const enqueueSecret = ({ metadata }: corev1.Secret): void =>
      queue.add(`${metadata.namespace ?? ''}/${metadata.name}`);
    const enqueueAccount = ({ metadata }: corev1.ServiceAccount): void => {
      for (const secret of secrets.lister.byIndex('account', `${metadata.namespace ?? ''}/${metadata.name}`))
        enqueueSecret(secret);
    };
    secrets.addHandler({ added: enqueueSecret, updated: enqueueSecret });
    accounts.addHandler({ added: enqueueAccount, deleted: enqueueAccount });

    return {
      reconcile: async (key) => {
        const secret = secrets.lister.byKey(key);
        if (secret === undefined || secret.type !== TYPE) return;
        const { namespace = '', name, annotations = {}, uid, resourceVersion } = secret.metadata;
        const accountName = annotations[NAME_ANNOTATION];
        if (accountName === undefined || accountName === '') return;
        const account = await findAccount(namespace, accountName);
        const api = client.resource(corev1.secrets, namespace);
        if (
          account === undefined ||
          ![undefined, '', account.metadata.uid].includes(annotations[UID_ANNOTATION])
        ) {
          // The account is gone, or another one has its name now: the token must not outlive it.
          await api
            .delete(name, {
              preconditions: {
                ...(uid === undefined ? {} : { uid }),
                ...(resourceVersion === undefined ? {} : { resourceVersion }),
              },
            })
            .catch((error: unknown) => {
              if (!isNotFound(error)) throw error;
            });
          return;
        }
        const data: Record<string, string> = { ...secret.data };
        const ca = rootCA === undefined ? undefined : base64(rootCA);
        if (ca !== undefined) data['ca.crt'] = ca;
        data['namespace'] ??= base64(namespace);
        data['token'] ??= base64(
          await signServiceAccountToken({
            namespace,
            serviceAccount: accountName,
            serviceAccountUid: account.metadata.uid ?? '',
            secretName: name,
          }),
        );
        const complete =
          annotations[UID_ANNOTATION] === account.metadata.uid &&
          Object.entries(data).every(([field, value]) => secret.data?.[field] === value);
        if (complete) return;
        await api.update({
          ...secret,
          metadata: {
            ...secret.metadata,
            annotations: {
              ...annotations,
              [NAME_ANNOTATION]: accountName,
              [UID_ANNOTATION]: account.metadata.uid ?? '',
            },
          },
          data,
        });
      },
    };

    /** A deletion follows from its absence, so the cache alone is not believed. */
    async function findAccount(namespace: string, name: string): Promise<corev1.ServiceAccount | undefined> {
      const cached = accounts.lister.get(namespace, name);
      if (cached !== undefined) return cached;
      try {
        return await client.resource(corev1.serviceAccounts, namespace).get(name);
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    }
  },
};

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
