import { certificatesv1beta1 } from '@k8ts/api';
import type { Draft, KubeObject } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { isDeepStrictEqual } from 'node:util';
import type { Authorizer } from '../../authorization/contract.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';
import { signerPermission } from './signer-permission.ts';

type Bundle = certificatesv1beta1.ClusterTrustBundle;

/** Who publishes a signer's trust anchors must hold the verb `attest` for it. */
export function clusterTrustBundleAttest(authorizers: readonly Authorizer[]): AdmissionPlugin {
  const mayUse = signerPermission(authorizers);
  return {
    name: 'ClusterTrustBundleAttest',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource) => isResource(resource, certificatesv1beta1.clusterTrustBundles),

    async validate(attributes) {
      const bundle = attributes.object as Draft<Bundle>;
      const { signerName } = bundle.spec;
      if (!signerName) return;
      const old = attributes.oldObject as Bundle | undefined;
      if (old !== undefined && isDeepStrictEqual(withoutOwners(old), withoutOwners(bundle))) return;
      if (!(await mayUse(attributes.user, 'attest', signerName)))
        throw refuse(attributes, `user not permitted to attest for signerName ${goQuote(signerName)}`);
    },
  };
}

/** Without what the garbage collector changes. */
function withoutOwners(object: KubeObject | Draft<KubeObject>): object {
  const collected = { ownerReferences: undefined, finalizers: undefined, managedFields: undefined };
  return { ...object, metadata: { ...object.metadata, ...collected } };
}
