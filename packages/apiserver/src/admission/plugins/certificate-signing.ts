import { certificatesv1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { isDeepStrictEqual } from 'node:util';
import type { Authorizer } from '../../authorization/contract.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';
import { signerPermission } from './signer-permission.ts';

type Request = certificatesv1.CertificateSigningRequest;

/** Who puts a certificate or a condition into a request's status must hold the verb `sign` for its signer. */
export function certificateSigning(authorizers: readonly Authorizer[]): AdmissionPlugin {
  const mayUse = signerPermission(authorizers);
  return {
    name: 'CertificateSigning',
    operations: ['UPDATE'],
    handles: (resource, subresource) =>
      subresource === 'status' && isResource(resource, certificatesv1.certificateSigningRequests),

    async validate(attributes) {
      const old = attributes.oldObject as Request;
      const { status } = attributes.object as Draft<Request>;
      const unchanged =
        status?.certificate === old.status?.certificate &&
        isDeepStrictEqual(status?.conditions ?? [], old.status?.conditions ?? []);
      if (unchanged) return;
      const { signerName } = old.spec;
      if (!(await mayUse(attributes.user, 'sign', signerName)))
        throw refuse(
          attributes,
          `user not permitted to sign requests with signerName ${goQuote(signerName)}`,
        );
    },
  };
}
