import { corev1, discoveryv1, rbacv1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import type { Client } from '@k8ts/client';
import { KUBE_DNS_NAME, KUBE_DNS_NAMESPACE, kubeDnsEndpointSlices, kubeDnsService } from '@k8ts/network';
import type { KubeDnsServer } from '@k8ts/network';
import { CLUSTER_DNS_IP } from './node-network.ts';

const MANAGER = { fieldManager: 'k8ts', force: true };
const RBAC = 'rbac.authorization.k8s.io';
const KUBELET_CLIENT = 'k8ts:apiserver-kubelet-client';
const CLUSTER_DNS = 'k8ts:cluster-dns';

/** What a cluster has besides Kubernetes' own bootstrap objects; put by server-side apply at every start. */
export async function applyAccess(client: Client): Promise<void> {
  // kubeadm gives the API server's client certificate a binding of this kind, too.
  await apply(client, rbacv1.clusterRoleBindings, {
    metadata: { name: KUBELET_CLIENT },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'system:kubelet-api-admin' },
    subjects: [{ apiGroup: RBAC, kind: 'User', name: 'kube-apiserver-kubelet-client' }],
  });
  // As CoreDNS's role.
  await apply(client, rbacv1.clusterRoles, {
    metadata: { name: CLUSTER_DNS },
    rules: [
      { apiGroups: [''], resources: ['services', 'namespaces', 'pods'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ],
  });
  await apply(client, rbacv1.clusterRoleBindings, {
    metadata: { name: CLUSTER_DNS },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: CLUSTER_DNS },
    subjects: [{ kind: 'ServiceAccount', namespace: KUBE_DNS_NAMESPACE, name: KUBE_DNS_NAME }],
  });
}

/** The Service by which pods know the cluster's DNS, and its endpoints. */
export async function applyDns(client: Client, servers: readonly KubeDnsServer[]): Promise<void> {
  const options = { clusterIps: [CLUSTER_DNS_IP], servers };
  await apply(client, corev1.services, kubeDnsService(options));
  for (const slice of kubeDnsEndpointSlices(options)) await apply(client, discoveryv1.endpointSlices, slice);
}

/** Server-side apply, as the cluster itself. */
export async function apply<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
): Promise<void> {
  const { name, namespace } = object.metadata;
  const apiVersion = type.group === '' ? type.version : `${type.group}/${type.version}`;
  await client.resource(type, namespace).apply(name, { ...object, apiVersion, kind: type.kind }, MANAGER);
}
