import { corev1 } from '@k8ts/api';
import { nodeNameOf } from '../../authentication/well-known-users.ts';
import type { ObjectReader } from '../../object-reader.ts';
import type { AuthorizationAttributes, Authorizer, Decision } from '../contract.ts';
import { ruleAllows } from '../rbac/rule-matching.ts';
import { nodeRules, parseRule } from '../rbac/bootstrap-policy.ts';
import { referencesOf } from './pod-references.ts';
import type { PodReferences } from './pod-references.ts';

const ALLOW: Decision = { verdict: 'allow', reason: '' };
const NO_OPINION: Decision = { verdict: 'no-opinion', reason: '' };
const READ_VERBS = ['get', 'list', 'watch'];

/** Where the pods of one node are known; the watch cache's index on spec.nodeName. */
export interface PodsOfNode {
  podsOnNode(node: string): Iterable<corev1.Pod>;
}

/**
 * What kubelets may do (k8s.io/kubernetes/plugin/pkg/auth/authorizer/node): the rules of the role `system:node`, but of
 * Secrets, ConfigMaps, claims, volumes and service accounts only those that a pod on the node refers to, of Leases only the
 * node's own.
 */
export function nodeAuthorizer(objects: ObjectReader, pods: PodsOfNode): Authorizer {
  const rules = nodeRules.map(parseRule);

  return {
    name: 'Node',
    authorize(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined || !attributes.isResourceRequest) return NO_OPINION;
      if (node === '') return noOpinion('unknown node');
      switch (`${attributes.apiGroup}/${attributes.resource}`) {
        case '/secrets':
          return referred(node, attributes, READ_VERBS, (used, name) => used.secrets.has(name));
        case '/configmaps':
          return referred(node, attributes, READ_VERBS, (used, name) => used.configMaps.has(name));
        case '/persistentvolumeclaims':
          return referred(
            node,
            attributes,
            attributes.subresource === 'status' ? ['get', 'update', 'patch'] : ['get'],
            (used, name) => used.claims.has(name),
          );
        case '/persistentvolumes':
          return volume(node, attributes);
        case '/serviceaccounts':
          return referred(
            node,
            attributes,
            attributes.subresource === 'token' ? ['create'] : ['get'],
            (used, name) => used.serviceAccount === name,
          );
        case 'coordination.k8s.io/leases':
          return ownLease(node, attributes);
        default:
          return rules.some((rule) => ruleAllows(rule, attributes)) ? ALLOW : NO_OPINION;
      }
    },
  };

  function referred(
    node: string,
    attributes: AuthorizationAttributes,
    verbs: readonly string[],
    uses: (used: PodReferences, name: string) => boolean,
  ): Decision {
    const { verb, name, namespace } = attributes;
    if (!verbs.includes(verb)) return noOpinion(`can only ${verbs.join('/')} this resource`);
    // list and watch name the object by field selector metadata.name, which the request info turns into the name.
    if (name === '' || namespace === '') return noOpinion('can only read namespaced object of this type');
    for (const pod of pods.podsOnNode(node))
      if (pod.metadata.namespace === namespace && uses(referencesOf(pod), name)) return ALLOW;
    return noOpinion(`no relationship found between node '${node}' and this object`);
  }

  function volume(node: string, attributes: AuthorizationAttributes): Decision {
    if (attributes.verb !== 'get') return noOpinion('can only get this resource');
    const claim = objects.get(corev1.persistentVolumes, '', attributes.name)?.spec.claimRef;
    for (const pod of claim === undefined ? [] : pods.podsOnNode(node))
      if (pod.metadata.namespace === claim?.namespace && referencesOf(pod).claims.has(claim?.name ?? ''))
        return ALLOW;
    return noOpinion(`no relationship found between node '${node}' and this object`);
  }

  function ownLease(node: string, attributes: AuthorizationAttributes): Decision {
    if (attributes.namespace !== 'kube-node-lease')
      return noOpinion('can only access leases in the "kube-node-lease" system namespace');
    if (!['get', 'create', 'update', 'patch', 'delete'].includes(attributes.verb))
      return noOpinion('can only get, create, update, patch, or delete a node lease');
    // A creation's name is in its body; NodeRestriction looks at it.
    if (attributes.verb !== 'create' && attributes.name !== node)
      return noOpinion('can only access node lease with the same name as the requesting node');
    return ALLOW;
  }
}

function noOpinion(reason: string): Decision {
  return { verdict: 'no-opinion', reason };
}
