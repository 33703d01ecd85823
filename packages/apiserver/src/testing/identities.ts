import type { UserInfo } from '../authentication/contract.ts';

export const ADMIN: UserInfo = Object.freeze({
  name: 'kubernetes-admin',
  uid: '',
  groups: Object.freeze(['system:masters', 'system:authenticated']),
  extra: Object.freeze({}),
});
