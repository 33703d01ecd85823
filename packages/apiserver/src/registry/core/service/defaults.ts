/** SetDefaults_Service. Cluster IPs, families and node ports are given by the allocators, not here. */
import type { corev1, Draft } from '@k8ts/api';

const AFFINITY_SECONDS = 10_800;

type Spec = Draft<corev1.ServiceSpec>;

export function setServiceDefaults(service: Draft<corev1.Service>): void {
  const spec: Spec = (service.spec ??= {});
  if (!spec.sessionAffinity) spec.sessionAffinity = 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  else if (
    spec.sessionAffinity === 'ClientIP' &&
    spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined
  )
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: AFFINITY_SECONDS } };
  if (!spec.type) spec.type = 'ClusterIP';
  for (const port of spec.ports ?? []) {
    if (!port.protocol) port.protocol = 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '')
      port.targetPort = port.port;
  }
  if (isExternallyAccessible(spec) && !spec.externalTrafficPolicy) spec.externalTrafficPolicy = 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  service.status ??= {};
  const loadBalancer = (service.status.loadBalancer ??= {});
  if (spec.type !== 'LoadBalancer') return;
  spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of loadBalancer.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
}

export function isExternallyAccessible(spec: corev1.ServiceSpec | undefined): boolean {
  const { type, externalIPs = [] } = spec ?? {};
  return type === 'LoadBalancer' || type === 'NodePort' || (type === 'ClusterIP' && externalIPs.length > 0);
}
