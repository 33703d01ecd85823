import { isDeepStrictEqual } from 'node:util';

import type { corev1, discoveryv1 } from '@k8ts/api';

import { isPodReady, isPodTerminating } from '../pod-state.ts';
import { findPort, hasServiceHostname, isHeadless, podAddresses } from '../service-endpoints/membership.ts';

export type AddressFamily = 'IPv4' | 'IPv6';

const ZONE = 'topology.kubernetes.io/zone';

/** The families a Service has addresses of. Without a word from the API server both, so that nothing is taken away. */
export function addressFamilies({ spec }: corev1.Service): AddressFamily[] {
  const families = (spec?.ipFamilies ?? []).filter((family) => family === 'IPv4' || family === 'IPv6');
  if (families.length > 0) return [...new Set(families)];
  const { clusterIP = '' } = spec ?? {};
  if (clusterIP !== '' && clusterIP !== 'None') return [clusterIP.includes(':') ? 'IPv6' : 'IPv4'];
  return ['IPv4', 'IPv6'];
}

/** A pod as a Service's endpoint; without addresses of the family, undefined. */
export function podEndpoint(
  pod: corev1.Pod,
  node: corev1.Node | undefined,
  service: corev1.Service,
  family: AddressFamily,
): discoveryv1.Endpoint | undefined {
  const addresses = podAddresses(pod, family);
  if (addresses.length === 0) return undefined;
  const serving = isPodReady(pod);
  const terminating = isPodTerminating(pod);
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const { namespace, name, uid } = pod.metadata;
  const { nodeName = '', hostname } = pod.spec;
  const zone = node?.metadata.labels?.[ZONE] ?? '';
  const hints = trafficHints(service, ready, zone, nodeName);
  return {
    addresses,
    conditions: { ready, serving, terminating },
    ...(hasServiceHostname(pod, service) && hostname !== undefined ? { hostname } : {}),
    targetRef: {
      kind: 'Pod',
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(uid === undefined ? {} : { uid }),
    },
    ...(nodeName === '' ? {} : { nodeName }),
    ...(zone === '' ? {} : { zone }),
    ...(hints === undefined ? {} : { hints }),
  };
}

/** Where clients are that should prefer this endpoint (`spec.trafficDistribution`, KEP-4444 and KEP-3015). */
function trafficHints(
  { spec }: corev1.Service,
  ready: boolean,
  zone: string,
  node: string,
): discoveryv1.EndpointHints | undefined {
  if (!ready || zone === '') return undefined;
  const forZones = [{ name: zone }];
  switch (spec?.trafficDistribution) {
    case 'PreferClose':
    case 'PreferSameZone':
      return { forZones };
    case 'PreferSameNode':
      return node === '' ? { forZones } : { forZones, forNodes: [{ name: node }] };
    default:
      return undefined;
  }
}

/** The ports of a Service as a pod offers them; pods may differ where ports have names. In a fixed order. */
export function endpointPorts(service: corev1.Service, pod: corev1.Pod): discoveryv1.EndpointPort[] {
  const { ports = [] } = service.spec ?? {};
  if (ports.length === 0 && isHeadless(service)) return [];
  const found: discoveryv1.EndpointPort[] = [];
  for (const port of ports) {
    const number = findPort(pod, port);
    if (number === undefined) continue;
    found.push({
      name: port.name ?? '',
      protocol: port.protocol ?? 'TCP',
      port: number,
      ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
    });
  }
  return found.sort((a, b) => (portKey(a) < portKey(b) ? -1 : 1));
}

function portKey({ name = '', protocol = 'TCP', port, appProtocol = '' }: discoveryv1.EndpointPort): string {
  return `${name}/${protocol}/${port ?? '*'}/${appProtocol}`;
}

/** Slices are grouped by it: all endpoints of a slice have the same ports. */
export function portsKey(ports: readonly discoveryv1.EndpointPort[] | null | undefined): string {
  return (ports ?? []).map(portKey).sort().join(',');
}

/** What makes an endpoint the same one, while its conditions change. */
export function endpointKey({ addresses, hostname = '', targetRef }: discoveryv1.Endpoint): string {
  return JSON.stringify([[...addresses].sort(), hostname, targetRef?.namespace ?? '', targetRef?.name ?? '']);
}

/** The same, conditions and all; the version of the pod does not matter. */
export function equalEndpoints(a: discoveryv1.Endpoint, b: discoveryv1.Endpoint): boolean {
  return isDeepStrictEqual(comparable(a), comparable(b));
}

function comparable({ targetRef, ...rest }: discoveryv1.Endpoint): object {
  const { resourceVersion: _version, ...reference } = targetRef ?? {};
  return { ...rest, reference };
}
