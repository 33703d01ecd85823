import { corev1, resourcev1, storagev1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import { ask } from '../../testing/attributes.ts';
import { createObjectTable } from '../../testing/object-table.ts';
import type { AuthorizationAttributes, Decision } from '../contract.ts';
import { nodeAuthorizer } from './node.ts';

const kubelet = userInfo('system:node:n1', ['system:nodes', 'system:authenticated']);
const objects = createObjectTable();
const pod = (name: string, spec: object, more: object = {}): corev1.Pod => ({
  metadata: { name, namespace: 'default', ...more },
  spec: { containers: [], nodeName: 'n1', ...spec },
});

objects.put(
  corev1.pods,
  pod('web', {
    serviceAccountName: 'builder',
    imagePullSecrets: [{ name: 'pull' }],
    volumes: [
      { name: 'c', configMap: { name: 'settings' } },
      { name: 'd', persistentVolumeClaim: { claimName: 'data' } },
    ],
    resourceClaims: [
      { name: 'gpu', resourceClaimName: 'gpu-1' },
      { name: 'made', resourceClaimTemplateName: 't' },
    ],
  }),
);
objects.put(corev1.pods, {
  ...pod('templated', { resourceClaims: [{ name: 'made', resourceClaimTemplateName: 't' }] }),
  status: { resourceClaimStatuses: [{ name: 'made', resourceClaimName: 'templated-made-x' }] },
});
objects.put(
  corev1.pods,
  pod(
    'mirror',
    { serviceAccountName: 'admin', imagePullSecrets: [{ name: 'stolen' }] },
    { annotations: { 'kubernetes.io/config.mirror': 'x' } },
  ),
);
objects.put(corev1.pods, pod('elsewhere', { nodeName: 'n2', imagePullSecrets: [{ name: 'other' }] }));
objects.put(corev1.persistentVolumeClaims, {
  metadata: { name: 'data', namespace: 'default' },
  spec: { volumeName: 'pv-1' },
});
objects.put(corev1.persistentVolumes, {
  metadata: { name: 'pv-1' },
  spec: {
    claimRef: { namespace: 'default', name: 'data' },
    csi: {
      driver: 'd',
      volumeHandle: 'h',
      nodeStageSecretRef: { namespace: 'storage', name: 'stage' },
      controllerExpandSecretRef: { namespace: 'storage', name: 'expand' },
    },
  },
});
objects.put(corev1.persistentVolumes, { metadata: { name: 'pv-2' }, spec: {} });
objects.put(storagev1.volumeAttachments, {
  metadata: { name: 'va-1' },
  spec: { nodeName: 'n1', attacher: 'd', source: {} },
});
objects.put(resourcev1.resourceSlices, {
  metadata: { name: 'slice-1' },
  spec: { nodeName: 'n1' },
} as unknown as resourcev1.ResourceSlice);

const authorizer = nodeAuthorizer(objects, {
  podsOnNode: (node) => objects.list(corev1.pods).filter(({ spec }) => spec.nodeName === node),
});
const decide = (attributes: AuthorizationAttributes): Decision =>
  authorizer.authorize(attributes) as Decision;

const own = { namespace: 'default' };
const UNRELATED = "no relationship found between node 'n1' and this object";

describe('a kubelet may', () => {
  test.each([
    ['get secrets', { ...own, name: 'pull' }],
    ['watch secrets', { ...own, name: 'pull' }],
    ['get secrets', { namespace: 'storage', name: 'stage' }],
    ['list configmaps', { ...own, name: 'settings' }],
    ['get persistentvolumeclaims', { ...own, name: 'data' }],
    ['patch persistentvolumeclaims/status', { ...own, name: 'data' }],
    ['get persistentvolumes', { name: 'pv-1' }],
    ['get volumeattachments', { group: 'storage.k8s.io', name: 'va-1' }],
    ['get resourceclaims', { group: 'resource.k8s.io', ...own, name: 'gpu-1' }],
    ['get resourceclaims', { group: 'resource.k8s.io', ...own, name: 'templated-made-x' }],
    ['create serviceaccounts/token', { ...own, name: 'builder' }],
    ['get serviceaccounts', { ...own, name: 'builder' }],
    ['get pods', { ...own, name: 'web' }],
    ['watch pods', { fields: 'spec.nodeName=n1' }],
    ['list pods', { fields: 'status.phase!=Failed,spec.nodeName=n1' }],
    ['list pods', { ...own, name: 'web' }],
    ['create pods', own],
    ['update pods/status', { ...own, name: 'web' }],
    ['create pods/eviction', { ...own, name: 'web' }],
    ['get nodes', { name: 'n1' }],
    ['watch nodes', { name: 'n1', fields: 'metadata.name=n1' }],
    ['patch nodes/status', { name: 'n1' }],
    ['list resourceslices', { group: 'resource.k8s.io', fields: 'spec.nodeName=n1' }],
    ['delete resourceslices', { group: 'resource.k8s.io', name: 'slice-1' }],
    ['update csinodes', { group: 'storage.k8s.io', name: 'n1' }],
    ['update leases', { group: 'coordination.k8s.io', namespace: 'kube-node-lease', name: 'n1' }],
    ['list services', {}],
    ['create subjectaccessreviews', { group: 'authorization.k8s.io' }],
  ])('%s %o', (question, what) => {
    expect(decide(ask(kubelet, question, what))).toEqual({ verdict: 'allow', reason: '' });
  });
});

describe('a kubelet may not', () => {
  test.each([
    ['get secrets', { ...own, name: 'other' }, UNRELATED],
    ['get secrets', { ...own, name: 'stolen' }, UNRELATED],
    ['get secrets', { namespace: 'storage', name: 'expand' }, UNRELATED],
    ['get secrets', { namespace: 'kube-system', name: 'pull' }, UNRELATED],
    ['list secrets', own, 'No Object name found'],
    ['list secrets', { name: 'pull' }, 'can only read namespaced object of this type'],
    ['update secrets', { ...own, name: 'pull' }, 'can only read resources of this type'],
    ['get secrets/x', { ...own, name: 'pull' }, 'cannot read subresource'],
    ['get persistentvolumes', { name: 'pv-2' }, UNRELATED],
    ['list persistentvolumes', {}, 'can only get individual resources of this type'],
    ['get persistentvolumes/status', { name: 'pv-1' }, 'cannot get subresource'],
    ['get persistentvolumeclaims/status', { ...own, name: 'data' }, 'can only get/update/patch this type'],
    ['create serviceaccounts/token', { ...own, name: 'admin' }, UNRELATED],
    ['create serviceaccounts', own, 'can only create tokens for individual service accounts'],
    [
      'create serviceaccounts/x',
      { ...own, name: 'builder' },
      'can only create token subresource of serviceaccount',
    ],
    ['list pods', own, 'can only list/watch pods with spec.nodeName field selector'],
    [
      'list pods',
      { fields: 'spec.nodeName!=n1' },
      'can only list/watch pods with spec.nodeName field selector',
    ],
    [
      'list pods',
      { fields: 'spec.nodeName=n2' },
      'can only list/watch pods with spec.nodeName field selector',
    ],
    ['get pods', { ...own, name: 'elsewhere' }, UNRELATED],
    ['update pods', { ...own, name: 'web' }, ''],
    ['get pods/log', { ...own, name: 'web' }, ''],
    ['list nodes', {}, "node 'n1' cannot read all nodes, only its own Node object"],
    ['get nodes', { name: 'n2' }, "node 'n1' cannot read 'n2', only its own Node object"],
    ['delete nodes', { name: 'n1' }, ''],
    [
      'list resourceslices',
      { group: 'resource.k8s.io' },
      'can only list/watch/deletecollection resourceslices with nodeName field selector',
    ],
    [
      'get csinodes',
      { group: 'storage.k8s.io', name: 'n2' },
      'can only access CSINode with the same name as the requesting node',
    ],
    [
      'get leases',
      { group: 'coordination.k8s.io', namespace: 'default', name: 'n1' },
      'can only access leases in the "kube-node-lease" system namespace',
    ],
    ['get deployments', { group: 'apps', ...own, name: 'web' }, ''],
  ])('%s %o', (question, what, reason) => {
    expect(decide(ask(kubelet, question, what))).toEqual({ verdict: 'no-opinion', reason });
  });
});

test('others are none of its business; a node without a name is unknown', async () => {
  expect(decide(ask('jane', 'get secrets', { ...own, name: 'pull' })).verdict).toBe('no-opinion');
  expect(decide(ask(userInfo('system:node:', ['system:nodes']), 'list services'))).toEqual({
    verdict: 'no-opinion',
    reason: 'unknown node for user "system:node:"',
  });
  expect(await authorizer.rulesFor(kubelet, 'default')).toMatchObject({
    incomplete: true,
    evaluationError: 'node authorizer does not support user rule resolution',
  });
});
