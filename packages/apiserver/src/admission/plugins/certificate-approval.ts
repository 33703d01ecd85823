import { certificatesv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import type { Authorizer } from '../../authorization/contract.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';
import { signerPermission } from './signer-permission.ts';

/** Who approves or denies a request must hold the verb `approve` for its signer. */
export function certificateApproval(authorizers: readonly Authorizer[]): AdmissionPlugin {
  const mayUse = signerPermission(authorizers);
  return {
    name: 'CertificateApproval',
    operations: ['UPDATE'],
    handles: (resource, subresource) =>
      subresource === 'approval' && isResource(resource, certificatesv1.certificateSigningRequests),

    async validate(attributes) {
      // The old one's: this request may try to change it.
      const { signerName } = (attributes.oldObject as certificatesv1.CertificateSigningRequest).spec;
      if (!(await mayUse(attributes.user, 'approve', signerName)))
        throw refuse(
          attributes,
          `user not permitted to approve requests with signerName ${goQuote(signerName)}`,
        );
    },
  };
}
