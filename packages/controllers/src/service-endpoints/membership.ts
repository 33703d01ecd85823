import { isDeepStrictEqual } from 'node:util';

import type { corev1 } from '@k8ts/api';
import { objectKey } from '@k8ts/client';
import type { Informer } from '@k8ts/client';

import { isPodReady, isPodTerminal, isPodTerminating } from '../pod-state.ts';

/** Has endpoints made for it: it selects pods, and is no mere alias. */
export function selectsPods({ spec }: corev1.Service): boolean {
  return spec?.selector !== undefined && spec.type !== 'ExternalName';
}

export function matchesService(service: corev1.Service, pod: corev1.Pod): boolean {
  const { labels = {} } = pod.metadata;
  return Object.entries(service.spec?.selector ?? {}).every(([name, value]) => labels[name] === value);
}

/** It runs, or is about to or ceases to, and has an address. */
export function isEndpoint(pod: corev1.Pod, includeTerminating: boolean): boolean {
  const { podIP = '', podIPs = [] } = pod.status ?? {};
  if (isPodTerminal(pod) || (podIP === '' && podIPs.length === 0)) return false;
  return includeTerminating || !isPodTerminating(pod);
}

/** The pod's name counts as a host name of the service: `<hostname>.<service>.<namespace>.svc`. */
export function hasServiceHostname(pod: corev1.Pod, service: corev1.Service): boolean {
  return (pod.spec.hostname ?? '') !== '' && pod.spec.subdomain === service.metadata.name;
}

export function isHeadless({ spec }: corev1.Service): boolean {
  const { clusterIP = '' } = spec ?? {};
  return clusterIP === 'None' || clusterIP === '';
}

/**
 * The number of the port a Service's port leads to in a pod; a name is looked up among the ports of containers and
 * sidecars. Undefined: the pod has no such port.
 */
export function findPort(pod: corev1.Pod, port: corev1.ServicePort): number | undefined {
  const { targetPort = port.port, protocol = 'TCP' } = port;
  if (typeof targetPort === 'number') return targetPort;
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const { ports = [] } of [...pod.spec.containers, ...sidecars]) {
    const found = ports.find(({ name, protocol: its = 'TCP' }) => name === targetPort && its === protocol);
    if (found !== undefined) return found.containerPort;
  }
  return undefined;
}

/** The pod's addresses of one family. */
export function podAddresses({ status }: corev1.Pod, family: 'IPv4' | 'IPv6'): string[] {
  const { podIP = '', podIPs = podIP === '' ? [] : [{ ip: podIP }] } = status ?? {};
  return podIPs.map(({ ip }) => ip).filter((ip) => ip.includes(':') === (family === 'IPv6'));
}

/** Puts the keys of the Services a pod's change is of interest to into `enqueue`. */
export function watchMembers(
  pods: Informer<corev1.Pod>,
  services: Informer<corev1.Service>,
  enqueue: (key: string) => void,
): void {
  const servicesOf = (pod: corev1.Pod): Set<string> => {
    const keys = new Set<string>();
    for (const service of services.lister.list(pod.metadata.namespace ?? ''))
      if (selectsPods(service) && matchesService(service, pod)) keys.add(objectKey(service));
    return keys;
  };
  const enqueueAll = (pod: corev1.Pod): void => servicesOf(pod).forEach(enqueue);
  pods.addHandler({
    added: enqueueAll,
    deleted: enqueueAll,
    updated: (pod, previous) => {
      const moved = !isDeepStrictEqual(pod.metadata.labels, previous.metadata.labels);
      if (!moved && !endpointChanged(pod, previous)) return;
      enqueueAll(pod);
      if (moved) enqueueAll(previous);
    },
  });
}

function endpointChanged(pod: corev1.Pod, previous: corev1.Pod): boolean {
  return (
    isPodTerminating(pod) !== isPodTerminating(previous) ||
    isPodTerminal(pod) !== isPodTerminal(previous) ||
    isPodReady(pod) !== isPodReady(previous) ||
    pod.spec.hostname !== previous.spec.hostname ||
    pod.spec.subdomain !== previous.spec.subdomain ||
    pod.spec.nodeName !== previous.spec.nodeName ||
    !isDeepStrictEqual(pod.status?.podIPs, previous.status?.podIPs) ||
    pod.status?.podIP !== previous.status?.podIP
  );
}
