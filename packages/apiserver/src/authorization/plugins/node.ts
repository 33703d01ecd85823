import { corev1, resourcev1, storagev1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { nodeNameOf } from '../../authentication/well-known-users.ts';
import type { ObjectReader } from '../../object-reader.ts';
import type { AuthorizationAttributes, Authorizer, Decision, RuleResolver } from '../contract.ts';
import { ruleAllows } from '../rbac/rule-matching.ts';
import { nodeRules, parseRule } from '../rbac/bootstrap-policy.ts';
import { referencesOf, secretsOfVolume } from './pod-references.ts';
import type { PodReferences } from './pod-references.ts';

const ALLOW: Decision = { verdict: 'allow', reason: '' };
const NO_OPINION: Decision = { verdict: 'no-opinion', reason: '' };
const READ_VERBS = ['get', 'list', 'watch'];
const OWN_OBJECT_VERBS = ['get', 'create', 'update', 'patch', 'delete'];

/** Where the pods of one node are known; the watch cache's index on spec.nodeName. */
export interface PodsOfNode {
  podsOnNode(node: string): Iterable<corev1.Pod>;
}

/**
 * What kubelets may do (k8s.io/kubernetes/plugin/pkg/auth/authorizer/node): the rules of the role `system:node`, but of
 * Secrets, ConfigMaps, claims, volumes and service accounts only those that a pod on the node refers to, of pods those on
 * the node, of Nodes, Leases and CSINodes the node's own. NodeRestriction looks at what creations and updates hold.
 */
export function nodeAuthorizer(objects: ObjectReader, pods: PodsOfNode): Authorizer & RuleResolver {
  const rules = nodeRules.map(parseRule);
  const rooms: ReadonlyMap<string, (node: string, attributes: AuthorizationAttributes) => Decision> = new Map(
    [
      ['/secrets', (node, asked) => readNamespaced(asked) ?? related(node, asked, secretUsed)],
      [
        '/configmaps',
        (node, asked) => readNamespaced(asked) ?? used(node, asked, ({ configMaps }) => configMaps),
      ],
      ['/persistentvolumeclaims', claim],
      ['/persistentvolumes', (node, asked) => getOne(asked) ?? related(node, asked, volumeUsed)],
      [
        'resource.k8s.io/resourceclaims',
        (node, asked) => getOne(asked) ?? used(node, asked, resourceClaimsOf),
      ],
      [
        'storage.k8s.io/volumeattachments',
        (node, asked) => getOne(asked) ?? related(node, asked, attachedTo),
      ],
      ['/serviceaccounts', serviceAccount],
      ['coordination.k8s.io/leases', ownLease],
      ['storage.k8s.io/csinodes', ownCsiNode],
      ['resource.k8s.io/resourceslices', resourceSlice],
      ['/nodes', ownNode],
      ['/pods', pod],
    ],
  );

  return {
    name: 'Node',
    authorize(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined) return NO_OPINION;
      if (node === '') return noOpinion(`unknown node for user ${goQuote(attributes.user.name)}`);
      if (attributes.isResourceRequest) {
        const decide = rooms.get(`${attributes.apiGroup}/${attributes.resource}`);
        if (decide !== undefined) return decide(node, attributes);
      }
      return rules.some((rule) => ruleAllows(rule, attributes)) ? ALLOW : NO_OPINION;
    },

    rulesFor: async (user) =>
      nodeNameOf(user) === undefined
        ? { resourceRules: [], nonResourceRules: [], incomplete: false }
        : {
            resourceRules: [],
            nonResourceRules: [],
            incomplete: true,
            evaluationError: 'node authorizer does not support user rule resolution',
          },
  };

  function used(
    node: string,
    attributes: AuthorizationAttributes,
    names: (references: PodReferences) => ReadonlySet<string>,
  ): Decision {
    return related(node, attributes, (_node, { namespace, name }) =>
      someReferences(node, namespace, (references) => names(references).has(name)),
    );
  }

  function someReferences(
    node: string,
    namespace: string,
    test: (references: PodReferences) => boolean,
  ): boolean {
    for (const each of pods.podsOnNode(node))
      if (each.metadata.namespace === namespace && test(referencesOf(each))) return true;
    return false;
  }

  /** Of the pod itself, or of a volume that is bound to one of its claims. */
  function secretUsed(node: string, { namespace, name }: AuthorizationAttributes): boolean {
    if (someReferences(node, namespace, ({ secrets }) => secrets.has(name))) return true;
    for (const each of pods.podsOnNode(node))
      for (const claimName of referencesOf(each).claims) {
        const found = objects.get(corev1.persistentVolumeClaims, each.metadata.namespace ?? '', claimName);
        const volume = objects.get(corev1.persistentVolumes, '', found?.spec.volumeName ?? '');
        if (volume !== undefined && isBoundTo(volume, each.metadata.namespace, claimName))
          for (const secret of secretsOfVolume(volume))
            if (secret.namespace === namespace && secret.name === name) return true;
      }
    return false;
  }

  function volumeUsed(node: string, { name }: AuthorizationAttributes): boolean {
    const bound = objects.get(corev1.persistentVolumes, '', name)?.spec.claimRef;
    return (
      bound !== undefined &&
      someReferences(node, bound.namespace ?? '', ({ claims }) => claims.has(bound.name ?? ''))
    );
  }

  function attachedTo(node: string, { name }: AuthorizationAttributes): boolean {
    return objects.get(storagev1.volumeAttachments, '', name)?.spec.nodeName === node;
  }

  function claim(node: string, attributes: AuthorizationAttributes): Decision {
    const claims = ({ claims: names }: PodReferences): ReadonlySet<string> => names;
    if (attributes.subresource !== 'status') return getOne(attributes) ?? used(node, attributes, claims);
    if (attributes.verb !== 'update' && attributes.verb !== 'patch')
      return noOpinion('can only get/update/patch this type');
    return used(node, attributes, claims);
  }

  function serviceAccount(node: string, attributes: AuthorizationAttributes): Decision {
    const { verb, subresource, name } = attributes;
    const isAccount = ({ serviceAccount: account }: PodReferences): ReadonlySet<string> => new Set([account]);
    if (verb === 'get' && subresource === '')
      return readNamespaced(attributes) ?? used(node, attributes, isAccount);
    if (verb !== 'create' || name === '')
      return noOpinion('can only create tokens for individual service accounts');
    if (subresource !== 'token') return noOpinion('can only create token subresource of serviceaccount');
    return used(node, attributes, isAccount);
  }

  function resourceSlice(node: string, attributes: AuthorizationAttributes): Decision {
    if (attributes.subresource !== '') return noOpinion('cannot authorize ResourceSlice subresources');
    switch (attributes.verb) {
      case 'create':
        return ALLOW;
      case 'get':
      case 'update':
      case 'patch':
      case 'delete':
        return related(
          node,
          attributes,
          (_node, { name }) => objects.get(resourcev1.resourceSlices, '', name)?.spec.nodeName === node,
        );
      case 'watch':
      case 'list':
      case 'deletecollection':
        return selects(attributes, 'spec.nodeName', node)
          ? ALLOW
          : noOpinion('can only list/watch/deletecollection resourceslices with nodeName field selector');
      default:
        return noOpinion(
          'only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection',
        );
    }
  }

  function pod(node: string, attributes: AuthorizationAttributes): Decision {
    const isOnNode = (_node: string, { namespace, name }: AuthorizationAttributes): boolean =>
      objects.get(corev1.pods, namespace, name)?.spec.nodeName === node;
    switch (`${attributes.verb} ${attributes.subresource}`) {
      case 'get ':
        return related(node, attributes, isOnNode);
      case 'list ':
      case 'watch ':
        if (selects(attributes, 'spec.nodeName', node)) return ALLOW;
        return attributes.name === ''
          ? noOpinion('can only list/watch pods with spec.nodeName field selector')
          : related(node, attributes, isOnNode);
      case 'create ':
      case 'delete ':
      case 'update status':
      case 'patch status':
      case 'create eviction':
        return ALLOW;
      default:
        return NO_OPINION;
    }
  }
}

function isBoundTo({ spec }: corev1.PersistentVolume, namespace: string | undefined, name: string): boolean {
  return spec.claimRef?.namespace === namespace && spec.claimRef?.name === name;
}

function resourceClaimsOf({ resourceClaims }: PodReferences): ReadonlySet<string> {
  return resourceClaims;
}

function related(
  node: string,
  attributes: AuthorizationAttributes,
  isRelated: (node: string, attributes: AuthorizationAttributes) => boolean,
): Decision {
  // list and watch name the object by field selector metadata.name, which the request info turns into the name.
  if (attributes.name === '') return noOpinion('No Object name found');
  return isRelated(node, attributes)
    ? ALLOW
    : noOpinion(`no relationship found between node '${node}' and this object`);
}

/** What is wrong with a read of namespaced objects that pods refer to. */
function readNamespaced({ verb, subresource, namespace }: AuthorizationAttributes): Decision | undefined {
  if (!READ_VERBS.includes(verb)) return noOpinion('can only read resources of this type');
  if (subresource !== '') return noOpinion('cannot read subresource');
  if (namespace === '') return noOpinion('can only read namespaced object of this type');
  return undefined;
}

function getOne({ verb, subresource }: AuthorizationAttributes): Decision | undefined {
  if (verb !== 'get') return noOpinion('can only get individual resources of this type');
  return subresource === '' ? undefined : noOpinion('cannot get subresource');
}

function ownLease(node: string, { namespace, verb, name }: AuthorizationAttributes): Decision {
  if (!OWN_OBJECT_VERBS.includes(verb))
    return noOpinion('can only get, create, update, patch, or delete a node lease');
  if (namespace !== 'kube-node-lease')
    return noOpinion('can only access leases in the "kube-node-lease" system namespace');
  // A creation's name is in its body; NodeRestriction looks at it.
  if (verb !== 'create' && name !== node)
    return noOpinion('can only access node lease with the same name as the requesting node');
  return ALLOW;
}

function ownCsiNode(node: string, { verb, subresource, name }: AuthorizationAttributes): Decision {
  if (!OWN_OBJECT_VERBS.includes(verb))
    return noOpinion('can only get, create, update, patch, or delete a CSINode');
  if (subresource !== '') return noOpinion('cannot authorize CSINode subresources');
  if (verb !== 'create' && name !== node)
    return noOpinion('can only access CSINode with the same name as the requesting node');
  return ALLOW;
}

/** By name, so that a kubelet may look for its Node before there is one. */
function ownNode(node: string, { verb, subresource, name }: AuthorizationAttributes): Decision {
  switch (`${verb} ${subresource}`) {
    case 'create ':
    case 'update ':
    case 'patch ':
    case 'update status':
    case 'patch status':
      return ALLOW;
    case 'get ':
    case 'list ':
    case 'watch ':
      if (name === node) return ALLOW;
      return noOpinion(
        name === ''
          ? `node '${node}' cannot read all nodes, only its own Node object`
          : `node '${node}' cannot read '${name}', only its own Node object`,
      );
    default:
      return NO_OPINION;
  }
}

function selects({ fieldSelector }: AuthorizationAttributes, field: string, value: string): boolean {
  return (fieldSelector?.requirements ?? []).some(
    (required) => required.field === field && required.operator === '=' && required.value === value,
  );
}

function noOpinion(reason: string): Decision {
  return { verdict: 'no-opinion', reason };
}
