import { isDeepStrictEqual } from 'node:util';

import type { corev1 } from '@k8ts/api';

import { isPodReady } from '../pod-state.ts';
import {
  findPort,
  hasServiceHostname,
  isEndpoint,
  isHeadless,
  podAddresses,
} from '../service-endpoints/membership.ts';

type Subset = corev1.EndpointSubset;
type Address = corev1.EndpointAddress;

/** One object holds all addresses of a Service; beyond this many it would grow too large to be of use. */
export const MAX_ADDRESSES = 1000;
export const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';

interface Group {
  readonly ports: readonly corev1.EndpointPort[];
  readonly ready: Address[];
  readonly notReady: Address[];
}

/** The addresses of a Service's pods; those with the same ports are together. In a fixed order. */
export function endpointSubsets(service: corev1.Service, pods: readonly corev1.Pod[]): Subset[] {
  const publishNotReady = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<string, Group>();
  for (const pod of pods) {
    if (!isEndpoint(pod, publishNotReady)) continue;
    const address = podAddress(service, pod);
    if (address === undefined) continue;
    const ports = portsOf(service, pod);
    if (ports === undefined) continue;
    const key = JSON.stringify(ports);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { ports, ready: [], notReady: [] }));
    (publishNotReady || isPodReady(pod) ? group.ready : group.notReady).push(address);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { ports, ready, notReady }]) => ({
      ...(ready.length > 0 ? { addresses: ready.sort(compareAddresses) } : {}),
      ...(notReady.length > 0 ? { notReadyAddresses: notReady.sort(compareAddresses) } : {}),
      ...(ports.length > 0 ? { ports } : {}),
    }));
}

/** Undefined: the pod has none of the Service's ports. A headless Service may have no ports at all. */
function portsOf(service: corev1.Service, pod: corev1.Pod): readonly corev1.EndpointPort[] | undefined {
  const { ports = [], clusterIP } = service.spec ?? {};
  if (ports.length === 0) return clusterIP === 'None' ? [] : undefined;
  const found = ports.flatMap((port): corev1.EndpointPort[] => {
    const number = findPort(pod, port);
    if (number === undefined) return [];
    const { name = '', protocol = 'TCP', appProtocol } = port;
    return [
      {
        ...(name === '' ? {} : { name }),
        port: number,
        protocol,
        ...(appProtocol === undefined ? {} : { appProtocol }),
      },
    ];
  });
  if (found.length === 0) return undefined;
  return found.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Of a pod with several addresses the one of the Service's first family. */
function podAddress(service: corev1.Service, pod: corev1.Pod): Address | undefined {
  const { ipFamilies = [], clusterIP = '' } = service.spec ?? {};
  const { podIP = '', podIPs = [] } = pod.status ?? {};
  const family =
    ipFamilies[0] ?? (isHeadless(service) ? familyOf(podIP || (podIPs[0]?.ip ?? '')) : familyOf(clusterIP));
  const [ip] = podAddresses(pod, family === 'IPv6' ? 'IPv6' : 'IPv4');
  if (ip === undefined) return undefined;
  const { namespace, name, uid } = pod.metadata;
  const { nodeName, hostname } = pod.spec;
  return {
    ip,
    ...(hasServiceHostname(pod, service) && hostname !== undefined ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    targetRef: {
      kind: 'Pod',
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(uid === undefined ? {} : { uid }),
    },
  };
}

function familyOf(ip: string): 'IPv4' | 'IPv6' {
  return ip.includes(':') ? 'IPv6' : 'IPv4';
}

function compareAddresses(a: Address, b: Address): number {
  if (a.ip !== b.ip) return a.ip < b.ip ? -1 : 1;
  return (a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1;
}

export function countAddresses(subsets: readonly Subset[]): number {
  return subsets.reduce(
    (sum, { addresses = [], notReadyAddresses = [] }) => sum + addresses.length + notReadyAddresses.length,
    0,
  );
}

/** At most MAX_ADDRESSES, ready ones first, each subset in proportion to its size. */
export function truncateSubsets(subsets: readonly Subset[]): readonly Subset[] {
  if (countAddresses(subsets) <= MAX_ADDRESSES) return subsets;
  const ready = subsets.reduce((sum, { addresses = [] }) => sum + addresses.length, 0);
  const cutReady = ready > MAX_ADDRESSES;
  const total = cutReady ? ready : countAddresses(subsets) - ready;
  const room = cutReady ? MAX_ADDRESSES : MAX_ADDRESSES - ready;
  let left = room;
  return subsets.map((subset) => {
    const { addresses = [], notReadyAddresses = [], ...rest } = subset;
    const affected = cutReady ? addresses : notReadyAddresses;
    const share = Math.min(Math.ceil((affected.length / total) * room), left);
    const kept = affected.slice(0, share);
    left -= kept.length;
    const readyKept = cutReady ? kept : addresses;
    const notReadyKept = cutReady ? [] : kept;
    return {
      ...(readyKept.length > 0 ? { addresses: readyKept } : {}),
      ...(notReadyKept.length > 0 ? { notReadyAddresses: notReadyKept } : {}),
      ...rest,
    };
  });
}

/** Equal but for the versions of the pods. */
export function equalSubsets(a: readonly Subset[], b: readonly Subset[]): boolean {
  return isDeepStrictEqual(a.map(comparable), b.map(comparable));
}

function comparable({ addresses = [], notReadyAddresses = [], ports = [] }: Subset): object {
  const plain = (address: Address): object => {
    const { resourceVersion: _version, ...targetRef } = address.targetRef ?? {};
    return { ...address, targetRef };
  };
  return { addresses: addresses.map(plain), notReadyAddresses: notReadyAddresses.map(plain), ports };
}
