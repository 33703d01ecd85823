import { isDeepStrictEqual } from 'node:util';

import { corev1 } from '@k8ts/api';
import type { New, discoveryv1 } from '@k8ts/api';
import { isDNS1123Subdomain } from '@k8ts/apimachinery';
import { controllerRef } from '@k8ts/client';

import { endpointKey, equalEndpoints, portsKey } from '../endpointslice/endpoint.ts';
import { MANAGED_BY, SERVICE_NAME } from '../endpointslice/plan.ts';
import { TRIGGER_TIME } from '../service-endpoints/trigger-time.ts';

type Slice = discoveryv1.EndpointSlice;

export const MIRRORING_CONTROLLER = 'endpointslicemirroring-controller.k8s.io';
const SKIP_MIRROR = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader';
/** Of one subset; more is cut off, since one object cannot hold them and nobody lists so many by hand. */
export const MAX_MIRRORED = 1000;

/** Made by hand for a Service that selects nothing. The others have slices of their own. */
export function isMirrored(endpoints: corev1.Endpoints, service: corev1.Service | undefined): boolean {
  const { labels = {}, annotations = {} } = endpoints.metadata;
  if (service === undefined || service.spec?.selector !== undefined) return false;
  return labels[SKIP_MIRROR] !== 'true' && annotations[LEADER_ANNOTATION] === undefined;
}

export interface MirrorPlan {
  readonly create: readonly New<Slice>[];
  readonly update: readonly Slice[];
  readonly delete: readonly Slice[];
  /** Addresses that are not mirrored: those that are no IP, and those beyond MAX_MIRRORED. */
  readonly invalid: number;
  readonly beyond: number;
}

/** One slice for each set of ports and address family of an Endpoints object. */
export function planMirror(endpoints: corev1.Endpoints, existing: readonly Slice[]): MirrorPlan {
  const { wanted, invalid, beyond } = desiredSlices(endpoints);
  const create: New<Slice>[] = [];
  const update: Slice[] = [];
  const unused = [...existing];
  for (const slice of wanted) {
    const index = unused.findIndex(
      ({ addressType, ports }) =>
        addressType === slice.addressType && portsKey(ports) === portsKey(slice.ports),
    );
    const [known] = index < 0 ? [] : unused.splice(index, 1);
    if (known === undefined) create.push(slice);
    else if (!isSame(known, slice))
      update.push({ ...known, ...slice, metadata: { ...known.metadata, ...metadataOf(endpoints) } });
  }
  return { create, update, delete: unused, invalid, beyond };
}

function metadataOf({ metadata }: corev1.Endpoints): {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
} {
  const { [SKIP_MIRROR]: _skip, ...labels } = metadata.labels ?? {};
  const { [TRIGGER_TIME]: _time, ...annotations } = metadata.annotations ?? {};
  return {
    labels: { ...labels, [SERVICE_NAME]: metadata.name, [MANAGED_BY]: MIRRORING_CONTROLLER },
    annotations,
  };
}

function desiredSlices(endpoints: corev1.Endpoints): {
  wanted: New<Slice>[];
  invalid: number;
  beyond: number;
} {
  const groups = new Map<
    string,
    { family: string; ports: discoveryv1.EndpointPort[]; found: Map<string, discoveryv1.Endpoint> }
  >();
  let invalid = 0;
  let beyond = 0;
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of endpoints.subsets ?? []) {
    let room = MAX_MIRRORED;
    const slicePorts = ports.map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol === undefined ? {} : { appProtocol }),
    }));
    const all = [
      ...addresses.map((one) => [one, true] as const),
      ...notReadyAddresses.map((one) => [one, false] as const),
    ];
    for (const [address, ready] of all) {
      const family = familyOf(address.ip);
      if (room === 0) {
        beyond++;
        continue;
      }
      if (family === undefined) {
        invalid++;
        continue;
      }
      room--;
      const key = `${family} ${portsKey(slicePorts)}`;
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { family, ports: slicePorts, found: new Map() }));
      const endpoint = endpointOf(address, ready);
      group.found.set(endpointKey(endpoint), endpoint);
    }
  }
  const { name, namespace } = endpoints.metadata;
  const wanted = [...groups.values()].map(({ family, ports, found }): New<Slice> => ({
    metadata: {
      generateName: isDNS1123Subdomain(`${name}-a`).length === 0 ? `${name}-` : name,
      ...(namespace === undefined ? {} : { namespace }),
      ...metadataOf(endpoints),
      ownerReferences: [controllerRef(endpoints, corev1.endpoints)],
    },
    addressType: family,
    ports,
    endpoints: [...found.values()],
  }));
  return { wanted, invalid, beyond };
}

function familyOf(ip: string): string | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(ip)) return 'IPv4';
  return ip.includes(':') ? 'IPv6' : undefined;
}

function endpointOf(
  { ip, hostname, nodeName, targetRef }: corev1.EndpointAddress,
  ready: boolean,
): discoveryv1.Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined || hostname === '' ? {} : { hostname }),
    ...(targetRef === undefined ? {} : { targetRef }),
    ...(nodeName === undefined ? {} : { nodeName }),
  };
}

function isSame(known: Slice, wanted: New<Slice>): boolean {
  const [present, next] = [known.endpoints ?? [], wanted.endpoints ?? []];
  if (present.length !== next.length) return false;
  if (!isDeepStrictEqual(known.metadata.labels, wanted.metadata.labels)) return false;
  if (!isDeepStrictEqual(known.metadata.annotations ?? {}, wanted.metadata.annotations)) return false;
  const byKey = new Map(present.map((endpoint) => [endpointKey(endpoint), endpoint]));
  return next.every((endpoint) => {
    const before = byKey.get(endpointKey(endpoint));
    return before !== undefined && equalEndpoints(before, endpoint);
  });
}
