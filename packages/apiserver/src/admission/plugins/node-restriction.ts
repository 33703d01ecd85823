import { coordinationv1, corev1, storagev1 } from '@k8ts/api';
import type { Draft, KubeObject, authenticationv1 } from '@k8ts/api';
import { notFound } from '@k8ts/apimachinery';
import { isDeepStrictEqual } from 'node:util';
import { nodeNameOf } from '../../authentication/well-known-users.ts';
import type { ObjectReader } from '../../object-reader.ts';
import { isResource, refuse } from '../refuse.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';

const MIRROR_POD = 'kubernetes.io/config.mirror';
const NODE_LEASES = 'kube-node-lease';
const NODE_RESTRICTION = 'node-restriction.kubernetes.io';

/** Labels below kubernetes.io and k8s.io that a kubelet may set on its own node (k8s.io/kubelet/pkg/apis/well_known_labels.go). */
const KUBELET_LABELS = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'node.kubernetes.io/windows-build',
]);
const KUBELET_LABEL_NAMESPACES = ['kubelet.kubernetes.io', 'node.kubernetes.io'];

type NodeRule = (node: string, attributes: AdmissionAttributes, objects: ObjectReader) => void;

/** Holds a kubelet to its own Node, its own pods and their tokens, and its own Lease. */
export function nodeRestriction(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    operations: ['CREATE', 'UPDATE', 'DELETE'],
    handles: (resource, subresource) => ruleFor(resource, subresource) !== undefined,
    validate(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined) return;
      if (node === '') throw refuse(attributes, 'could not determine node from user');
      ruleFor(attributes.resource, attributes.subresource)?.(node, attributes, objects);
    },
  };
}

function ruleFor(resource: AdmissionAttributes['resource'], subresource: string): NodeRule | undefined {
  if (isResource(resource, corev1.pods)) {
    if (subresource === '') return checkPod;
    if (subresource === 'status') return checkPodStatus;
    if (subresource === 'eviction') return checkEviction;
    return (_node, attributes) => {
      throw refuse(
        attributes,
        `unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`,
      );
    };
  }
  if (isResource(resource, corev1.nodes)) return checkNode;
  if (isResource(resource, corev1.serviceAccounts)) return subresource === 'token' ? checkToken : undefined;
  if (isResource(resource, coordinationv1.leases)) return checkLease;
  if (isResource(resource, storagev1.csiNodes)) return checkCsiNode;
  return undefined;
}

function existingPod(attributes: AdmissionAttributes, name: string, objects: ObjectReader): corev1.Pod {
  const pod = objects.get(corev1.pods, attributes.namespace, name);
  if (pod === undefined) throw notFound(corev1.pods, name);
  return pod;
}

const checkPod: NodeRule = (node, attributes, objects) => {
  if (attributes.operation === 'CREATE') return checkMirrorPod(node, attributes, objects);
  if (attributes.operation === 'DELETE') {
    if (existingPod(attributes, attributes.name, objects).spec.nodeName !== node)
      throw refuse(attributes, `node "${node}" can only delete pods with spec.nodeName set to itself`);
    return;
  }
  throw refuse(
    attributes,
    `unexpected operation "${attributes.operation}", node "${node}" can only create and delete mirror pods`,
  );
};

const checkMirrorPod: NodeRule = (node, attributes, objects) => {
  const { metadata, spec } = attributes.object as Draft<corev1.Pod>;
  const no = (message: string): Error => refuse(attributes, `node "${node}" ${message}`);
  if (metadata.annotations?.[MIRROR_POD] === undefined)
    throw refuse(
      attributes,
      `pod does not have "${MIRROR_POD}" annotation, node "${node}" can only create mirror pods`,
    );
  if (spec.nodeName !== node) throw no('can only create pods with spec.nodeName set to itself');
  const owners = metadata.ownerReferences ?? [];
  const [owner] = owners;
  if (owners.length > 1) throw no('can only create pods with a single owner reference set to itself');
  if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node)
    throw no('can only create pods with an owner reference set to itself');
  if (owner.controller !== true)
    throw no('can only create pods with a controller owner reference set to itself');
  if (owner.blockOwnerDeletion === true) throw no('must not set blockOwnerDeletion on an owner reference');
  const self = objects.get(corev1.nodes, '', node);
  if (self === undefined) throw notFound(corev1.nodes, node);
  if (self.metadata.uid !== owner.uid)
    throw refuse(
      attributes,
      `node ${node} UID mismatch: expected ${owner.uid} got ${self.metadata.uid ?? ''}`,
    );

  if (spec.serviceAccountName) throw no('can not create pods that reference a service account');
  for (const [kind, used] of Object.entries(referencesOf(spec)))
    if (used) throw no(`can not create pods that reference ${kind}`);
};

/** Which kinds of other objects a pod brings in. */
function referencesOf(spec: Draft<corev1.PodSpec>): Record<string, boolean> {
  const volumes = spec.volumes ?? [];
  const projected = volumes.flatMap((volume) => volume.projected?.sources ?? []);
  const containers = [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    ...(spec.ephemeralContainers ?? []),
  ];
  const env = containers.flatMap((container) => container.env ?? []);
  const envFrom = containers.flatMap((container) => container.envFrom ?? []);
  return {
    secrets:
      (spec.imagePullSecrets ?? []).length > 0 ||
      volumes.some((volume) => volume.secret !== undefined) ||
      projected.some((source) => source.secret !== undefined) ||
      env.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined) ||
      envFrom.some(({ secretRef }) => secretRef !== undefined),
    configmaps:
      volumes.some((volume) => volume.configMap !== undefined) ||
      projected.some((source) => source.configMap !== undefined) ||
      env.some(({ valueFrom }) => valueFrom?.configMapKeyRef !== undefined) ||
      envFrom.some(({ configMapRef }) => configMapRef !== undefined),
    clustertrustbundles: projected.some((source) => source.clusterTrustBundle !== undefined),
    persistentvolumeclaims: volumes.some((volume) => volume.persistentVolumeClaim !== undefined),
  };
}

const checkPodStatus: NodeRule = (node, attributes) => {
  if (attributes.operation !== 'UPDATE')
    throw refuse(attributes, `unexpected operation "${attributes.operation}"`);
  const old = attributes.oldObject as corev1.Pod;
  const pod = attributes.object as Draft<corev1.Pod>;
  if (old.spec.nodeName !== node)
    throw refuse(
      attributes,
      `node "${node}" can only update pod status for pods with spec.nodeName set to itself`,
    );
  if (!isDeepStrictEqual(old.metadata.labels ?? {}, pod.metadata.labels ?? {}))
    throw refuse(attributes, `node "${node}" cannot update labels through pod status`);
  if (!isDeepStrictEqual(old.status?.resourceClaimStatuses ?? [], pod.status?.resourceClaimStatuses ?? []))
    throw refuse(attributes, `node "${node}" cannot update resource claim statues`);
};

const checkEviction: NodeRule = (node, attributes, objects) => {
  const name = attributes.name || attributes.object?.metadata.name;
  if (!name) throw refuse(attributes, 'could not determine pod from request data');
  if (existingPod(attributes, name, objects).spec.nodeName !== node)
    throw refuse(attributes, `node ${node} can only evict pods with spec.nodeName set to itself`);
};

const checkNode: NodeRule = (node, attributes) => {
  const requested = attributes.name || (attributes.object?.metadata.name ?? '');
  if (requested !== node)
    throw refuse(attributes, `node "${node}" is not allowed to modify node "${requested}"`);
  if (attributes.operation === 'DELETE') return;
  const object = attributes.object as Draft<corev1.Node>;
  const old = attributes.oldObject as corev1.Node | undefined;
  const forbiddenLabels = changedLabels(object, old).filter(isForbiddenLabel).sort().join(', ');
  if (attributes.operation === 'CREATE') {
    if (object.spec?.configSource !== undefined)
      throw refuse(attributes, `node "${node}" is not allowed to create pods with a non-nil configSource`);
    if (forbiddenLabels !== '')
      throw refuse(
        attributes,
        `node "${node}" is not allowed to set the following labels: ${forbiddenLabels}`,
      );
    return;
  }
  if (
    object.spec?.configSource !== undefined &&
    !isDeepStrictEqual(object.spec.configSource, old?.spec?.configSource)
  )
    throw refuse(
      attributes,
      `node "${node}" is not allowed to update configSource to a new non-nil configSource`,
    );
  if (!isDeepStrictEqual(object.spec?.taints ?? [], old?.spec?.taints ?? []))
    throw refuse(attributes, `node "${node}" is not allowed to modify taints`);
  if (forbiddenLabels !== '') throw refuse(attributes, `is not allowed to modify labels: ${forbiddenLabels}`);
};

function changedLabels(object: KubeObject | Draft<KubeObject>, old: KubeObject | undefined): string[] {
  const [now, before] = [object.metadata.labels ?? {}, old?.metadata.labels ?? {}];
  return [...new Set([...Object.keys(now), ...Object.keys(before)])].filter(
    (key) => now[key] !== before[key],
  );
}

function isForbiddenLabel(label: string): boolean {
  const slash = label.indexOf('/');
  const namespace = slash < 0 ? '' : label.slice(0, slash);
  const within = (domain: string): boolean => namespace === domain || namespace.endsWith(`.${domain}`);
  if (within(NODE_RESTRICTION)) return true;
  if (!within('kubernetes.io') && !within('k8s.io')) return false;
  return !KUBELET_LABELS.has(label) && !KUBELET_LABEL_NAMESPACES.some(within);
}

const checkToken: NodeRule = (node, attributes, objects) => {
  if (attributes.operation !== 'CREATE') return;
  const request = attributes.object as unknown as Draft<authenticationv1.TokenRequest>;
  const bound = request.spec.boundObjectRef;
  if (bound?.apiVersion !== 'v1' || bound.kind !== 'Pod' || !bound.name)
    throw refuse(attributes, 'node requested token not bound to a pod');
  if (!bound.uid) throw refuse(attributes, 'node requested token with a pod binding without a uid');
  const pod = existingPod(attributes, bound.name, objects);
  if (bound.uid !== pod.metadata.uid)
    throw refuse(
      attributes,
      `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  if (pod.spec.nodeName !== node)
    throw refuse(attributes, 'node requested token bound to a pod scheduled on a different node');
};

const checkLease: NodeRule = (node, attributes) => {
  if (attributes.namespace !== NODE_LEASES)
    throw refuse(attributes, `can only access leases in the "${NODE_LEASES}" system namespace`);
  const name = attributes.operation === 'CREATE' ? attributes.object?.metadata.name : attributes.name;
  if (name !== node)
    throw refuse(attributes, 'can only access node lease with the same name as the requesting node');
};

const checkCsiNode: NodeRule = (node, attributes) => {
  const name = attributes.operation === 'CREATE' ? attributes.object?.metadata.name : attributes.name;
  if (name !== node)
    throw refuse(attributes, 'can only access CSINode with the same name as the requesting node');
};
