import { certificatesv1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { errorMessage } from '@k8ts/base';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';
import { organizationsOf } from './certificate-request-subject.ts';

const SIGNER = 'kubernetes.io/kube-apiserver-client';

/** Nobody becomes a member of system:masters, whom nothing is refused, by a certificate that the API trusts. */
export function certificateSubjectRestriction(): AdmissionPlugin {
  return {
    name: 'CertificateSubjectRestriction',
    operations: ['CREATE'],
    handles: (resource, subresource) =>
      subresource === '' && isResource(resource, certificatesv1.certificateSigningRequests),

    validate(attributes) {
      const { spec } = attributes.object as Draft<certificatesv1.CertificateSigningRequest>;
      if (spec.signerName !== SIGNER) return;
      let organizations: readonly string[];
      try {
        organizations = organizationsOf(spec.request ?? '');
      } catch (error) {
        throw refuse(attributes, `failed to parse CSR: ${errorMessage(error)}`);
      }
      if (organizations.includes('system:masters'))
        throw refuse(attributes, `use of ${SIGNER} signer with system:masters group is not allowed`);
    },
  };
}
