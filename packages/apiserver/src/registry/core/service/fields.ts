/** What a service's type needs, and what goes when the type changes (dropTypeDependentFields). */
import type { corev1, Draft } from '@k8ts/api';
import { isExternallyAccessible } from './defaults.ts';

type Service = corev1.Service;

export const needsClusterIp = ({ spec }: Service): boolean => spec?.type !== 'ExternalName';

/** Of the type, whether or not ports are to be allocated. */
const mayHaveNodePorts = ({ spec }: Service): boolean =>
  spec?.type === 'NodePort' || spec?.type === 'LoadBalancer';

export const needsNodePorts = ({ spec }: Service): boolean =>
  spec?.type === 'NodePort' ||
  (spec?.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);

export const needsHealthCheckPort = ({ spec }: Service): boolean =>
  spec?.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';

export function sameList(left: readonly string[] | undefined, right: readonly string[] | undefined): boolean {
  const [a, b] = [left ?? [], right ?? []];
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

export const sameClusterIps = (left: Service, right: Service): boolean =>
  (left.spec?.clusterIP ?? '') === (right.spec?.clusterIP ?? '') &&
  sameList(left.spec?.clusterIPs, right.spec?.clusterIPs);

export const isHeadless = ({ spec }: Service): boolean =>
  spec?.clusterIPs?.length === 1 && spec.clusterIPs[0] === 'None';

export function nodePortsOf({ spec }: Service): number[] {
  return (spec?.ports ?? []).flatMap(({ nodePort = 0 }) => (nodePort === 0 ? [] : [nodePort]));
}

/** Whatever the old type had that the new one has no use for goes, unless the user changed it in the same update. */
export function dropTypeDependentFields(service: Draft<Service>, old: Service): void {
  const { spec } = service;
  const { spec: before } = old;
  if (needsClusterIp(old) && !needsClusterIp(service)) {
    if (sameClusterIps(old, service)) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    if (sameList(before?.ipFamilies, spec.ipFamilies)) delete spec.ipFamilies;
    if (before?.ipFamilyPolicy === spec.ipFamilyPolicy) delete spec.ipFamilyPolicy;
  }
  if (mayHaveNodePorts(old) && !mayHaveNodePorts(service)) {
    const known = nodePortsOf(old);
    if (nodePortsOf(service).every((port) => known.includes(port)))
      for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (
    needsHealthCheckPort(old) &&
    !needsHealthCheckPort(service) &&
    before?.healthCheckNodePort === spec.healthCheckNodePort
  )
    delete spec.healthCheckNodePort;
  if (before?.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (before.allocateLoadBalancerNodePorts === spec.allocateLoadBalancerNodePorts)
      delete spec.allocateLoadBalancerNodePorts;
    if (before.loadBalancerClass === spec.loadBalancerClass) delete spec.loadBalancerClass;
  }
  if (
    isExternallyAccessible(before) &&
    !isExternallyAccessible(spec) &&
    before?.externalTrafficPolicy === spec.externalTrafficPolicy
  )
    delete spec.externalTrafficPolicy;
  if (spec.type !== 'LoadBalancer') service.status = { ...service.status, loadBalancer: {} };
}
