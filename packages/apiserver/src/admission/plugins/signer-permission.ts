import type { AuthorizationAttributes, Authorizer } from '../../authorization/contract.ts';
import type { UserInfo } from '../../authentication/contract.ts';
import { createAuthorize } from '../../steps/authorize.ts';

/** Whether somebody may do something in the name of a signer, or of all signers of its domain (`kubernetes.io/*`). */
export type SignerPermission = (user: UserInfo, verb: string, signerName: string) => Promise<boolean>;

export function signerPermission(authorizers: readonly Authorizer[]): SignerPermission {
  const authorize = createAuthorize(authorizers);
  return async (user, verb, signerName) => {
    const domain = signerName.split('/', 1)[0] ?? '';
    for (const name of [signerName, `${domain}/*`]) {
      const question: AuthorizationAttributes = {
        user,
        verb,
        isResourceRequest: true,
        apiGroup: 'certificates.k8s.io',
        apiVersion: '*',
        resource: 'signers',
        subresource: '',
        namespace: '',
        name,
        path: '',
      };
      if ((await authorize(question)).verdict === 'allow') return true;
    }
    return false;
  };
}
