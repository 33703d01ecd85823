import { corev1 } from '@k8ts/api';
import { serviceAccountColumns } from '../../printing/columns/core.ts';
import type { Draft } from '@k8ts/api';
import type { Strategy } from '../contract.ts';

type ServiceAccount = corev1.ServiceAccount;

const ENFORCE_MOUNTABLE_SECRETS = 'kubernetes.io/enforce-mountable-secrets';

/** References to secrets are names in the same namespace, whatever else was written. */
function keepNames(account: Draft<ServiceAccount>): void {
  if (account.secrets !== undefined)
    account.secrets = account.secrets.map(({ name }) => (name === undefined ? {} : { name }));
}

export const serviceAccountStrategy: Strategy<ServiceAccount> = {
  type: corev1.serviceAccounts,
  prepareForCreate: keepNames,
  prepareForUpdate: keepNames,
  warnings(account, old) {
    const has = (object: ServiceAccount | undefined): boolean =>
      object?.metadata.annotations?.[ENFORCE_MOUNTABLE_SECRETS] !== undefined;
    return has(account) && !has(old)
      ? [
          `metadata.annotations[${ENFORCE_MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`,
        ]
      : [];
  },
  columns: serviceAccountColumns,
};
