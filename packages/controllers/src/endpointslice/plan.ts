import { isDeepStrictEqual } from 'node:util';

import { corev1 } from '@k8ts/api';
import type { New, discoveryv1 } from '@k8ts/api';
import { isDNS1123Subdomain } from '@k8ts/apimachinery';
import { controllerRef } from '@k8ts/client';

import { isEndpoint, isHeadless } from '../service-endpoints/membership.ts';
import {
  addressFamilies,
  endpointKey,
  endpointPorts,
  equalEndpoints,
  podEndpoint,
  portsKey,
} from './endpoint.ts';
import type { AddressFamily } from './endpoint.ts';

type Slice = discoveryv1.EndpointSlice;
type NewSlice = New<Slice>;
type Endpoint = discoveryv1.Endpoint;

export const SERVICE_NAME = 'kubernetes.io/service-name';
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
export const CONTROLLER = 'endpointslice-controller.k8s.io';
const HEADLESS = 'service.kubernetes.io/headless';

export interface SlicesInput {
  readonly service: corev1.Service;
  /** Those that the Service selects. */
  readonly pods: readonly corev1.Pod[];
  readonly node: (name: string) => corev1.Node | undefined;
  /** This controller's slices of the Service that are not being deleted. */
  readonly existing: readonly Slice[];
  readonly maxEndpoints: number;
}

export interface SlicesPlan {
  readonly create: readonly NewSlice[];
  readonly update: readonly Slice[];
  readonly delete: readonly Slice[];
  /** Pods that were left out because their node is unknown; they have to be looked at again. */
  readonly withoutNode: readonly corev1.Pod[];
}

/**
 * What to do so that the slices hold exactly the Service's endpoints, with as few writes as possible: endpoints stay in the
 * slice they are in, new ones go into slices that change anyway, then into the one they fill best, then into new ones
 * (staging/src/k8s.io/endpointslice/reconciler.go).
 */
export function planSlices(input: SlicesInput): SlicesPlan {
  const families = addressFamilies(input.service);
  const create: NewSlice[] = [];
  const update: Slice[] = [];
  const remove = input.existing.filter(({ addressType }) => !(families as string[]).includes(addressType));
  const withoutNode = new Set<corev1.Pod>();
  for (const family of families) {
    const plan = planFamily(input, family, withoutNode);
    create.push(...plan.create);
    update.push(...plan.update);
    remove.push(...plan.delete);
  }
  return { ...reuse(input.service, create, update, remove), withoutNode: [...withoutNode] };
}

interface Changes {
  readonly create: NewSlice[];
  readonly update: Slice[];
  readonly delete: Slice[];
}

interface PortGroup {
  readonly ports: readonly discoveryv1.EndpointPort[];
  /** By `endpointKey`. */
  readonly endpoints: Map<string, Endpoint>;
}

function planFamily(input: SlicesInput, family: AddressFamily, withoutNode: Set<corev1.Pod>): Changes {
  const { service } = input;
  const existing = input.existing.filter(({ addressType }) => addressType === family);
  const owned = existing.filter((slice) => isOwnedBy(slice, service));
  const changes: Changes = {
    create: [],
    update: [],
    delete: existing.filter((slice) => !owned.includes(slice)),
  };

  const byPorts = new Map<string, Slice[]>();
  for (const slice of owned) {
    const key = portsKey(slice.ports);
    byPorts.set(key, [...(byPorts.get(key) ?? []), slice]);
  }
  const desired = desiredEndpoints(input, family, withoutNode);
  for (const [key, group] of desired) fillSlices(input, family, group, byPorts.get(key) ?? [], changes);
  for (const [key, slices] of byPorts) if (!desired.has(key)) changes.delete.push(...slices);

  // A Service without endpoints has one empty slice: that it is known, and empty, is information as well.
  if (changes.delete.length === existing.length && changes.create.length === 0) {
    const placeholder = newSlice(service, family, [], []);
    const [only] = changes.delete;
    if (changes.delete.length === 1 && only !== undefined && isPlaceholder(only, placeholder))
      changes.delete.pop();
    else changes.create.push(placeholder);
  }
  return changes;
}

function desiredEndpoints(
  { service, pods, node }: SlicesInput,
  family: AddressFamily,
  withoutNode: Set<corev1.Pod>,
): Map<string, PortGroup> {
  const groups = new Map<string, PortGroup>();
  for (const pod of pods) {
    if (!isEndpoint(pod, true)) continue;
    const ports = endpointPorts(service, pod);
    const key = portsKey(ports);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { ports, endpoints: new Map() }));
    const itsNode = node(pod.spec.nodeName ?? '');
    if (itsNode === undefined && service.spec?.publishNotReadyAddresses !== true) {
      withoutNode.add(pod);
      continue;
    }
    const endpoint = podEndpoint(pod, itsNode, service, family);
    if (endpoint !== undefined) group.endpoints.set(endpointKey(endpoint), endpoint);
  }
  return groups;
}

/** The endpoints of one set of ports into the slices that have these ports. Takes from `group.endpoints` what is placed. */
function fillSlices(
  { service, maxEndpoints }: SlicesInput,
  family: AddressFamily,
  { ports, endpoints: unplaced }: PortGroup,
  slices: readonly Slice[],
  changes: Changes,
): void {
  const take = (count: number): Endpoint[] => {
    const taken: Endpoint[] = [];
    for (const [key, endpoint] of unplaced) {
      if (taken.length >= count) break;
      taken.push(endpoint);
      unplaced.delete(key);
    }
    return taken;
  };
  const labels = sliceLabels(service);
  const changed: { readonly slice: Slice; readonly endpoints: Endpoint[] }[] = [];
  const unchanged: Slice[] = [];

  for (const slice of slices) {
    const present = slice.endpoints ?? [];
    const kept: Endpoint[] = [];
    let differs = false;
    for (const endpoint of present) {
      const key = endpointKey(endpoint);
      const wanted = unplaced.get(key);
      if (wanted === undefined) continue;
      kept.push(wanted);
      unplaced.delete(key);
      differs ||= !equalEndpoints(wanted, endpoint);
    }
    differs ||= kept.length !== present.length;
    if (differs && kept.length === 0) changes.delete.push(slice);
    else if (differs || !isDeepStrictEqual(slice.metadata.labels, labels))
      changed.push({ slice, endpoints: kept });
    else unchanged.push(slice);
  }

  // The fullest first, so that few slices are left half empty.
  changed.sort((a, b) => b.endpoints.length - a.endpoints.length);
  for (const { endpoints } of changed) endpoints.push(...take(maxEndpoints - endpoints.length));

  while (unplaced.size > 0) {
    const best = unplaced.size < maxEndpoints ? bestFit(unchanged, unplaced.size, maxEndpoints) : undefined;
    if (best === undefined) {
      changes.create.push(newSlice(service, family, ports, take(maxEndpoints)));
      continue;
    }
    unchanged.splice(unchanged.indexOf(best), 1);
    changed.push({ slice: best, endpoints: [...(best.endpoints ?? []), ...take(maxEndpoints)] });
  }
  for (const { slice, endpoints } of changed)
    changes.update.push({ ...slice, metadata: { ...slice.metadata, labels }, endpoints });
}

/** The slice that has room for all of them and is then closest to full. */
function bestFit(slices: readonly Slice[], count: number, maxEndpoints: number): Slice | undefined {
  let best: Slice | undefined;
  let least = maxEndpoints;
  for (const slice of slices) {
    const left = maxEndpoints - count - (slice.endpoints?.length ?? 0);
    if (left < 0 || left >= least) continue;
    least = left;
    best = slice;
  }
  return best;
}

/** A slice to be made and one to be deleted are one to be changed. The address type of a slice cannot change. */
function reuse(
  service: corev1.Service,
  create: readonly NewSlice[],
  update: readonly Slice[],
  remove: readonly Slice[],
): Changes {
  const waiting = [...create];
  const changes: Changes = { create: waiting, update: [...update], delete: [] };
  for (const slice of remove) {
    const index = waiting.findIndex(({ addressType }) => addressType === slice.addressType);
    const replacement = waiting[index];
    if (replacement === undefined || !isOwnedBy(slice, service)) {
      changes.delete.push(slice);
      continue;
    }
    waiting.splice(index, 1);
    const { labels, ownerReferences } = replacement.metadata;
    changes.update.push({
      ...replacement,
      metadata: {
        ...slice.metadata,
        ...(labels === undefined ? {} : { labels }),
        ...(ownerReferences === undefined ? {} : { ownerReferences }),
      },
    });
  }
  return changes;
}

function newSlice(
  service: corev1.Service,
  addressType: AddressFamily,
  ports: readonly discoveryv1.EndpointPort[],
  endpoints: readonly Endpoint[],
): NewSlice {
  const { name, namespace } = service.metadata;
  const prefix = `${name}-`;
  return {
    metadata: {
      generateName: isDNS1123Subdomain(`${prefix}a`).length === 0 ? prefix : name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: sliceLabels(service),
      ownerReferences: [controllerRef(service, corev1.services)],
    },
    addressType,
    endpoints,
    ports,
  };
}

/** The Service's own labels, and those that say whose slice it is. */
function sliceLabels(service: corev1.Service): Readonly<Record<string, string>> {
  const {
    [SERVICE_NAME]: _name,
    [MANAGED_BY]: _manager,
    [HEADLESS]: _headless,
    ...own
  } = service.metadata.labels ?? {};
  return {
    ...own,
    ...(isHeadless(service) ? { [HEADLESS]: '' } : {}),
    [SERVICE_NAME]: service.metadata.name,
    [MANAGED_BY]: CONTROLLER,
  };
}

function isOwnedBy(slice: Slice, service: corev1.Service): boolean {
  return (slice.metadata.ownerReferences ?? []).some(
    ({ uid, kind, apiVersion }) => uid === service.metadata.uid && kind === 'Service' && apiVersion === 'v1',
  );
}

function isPlaceholder(slice: Slice, placeholder: NewSlice): boolean {
  return (
    (slice.endpoints ?? []).length === 0 &&
    (slice.ports ?? []).length === 0 &&
    isDeepStrictEqual(slice.metadata.labels, placeholder.metadata.labels) &&
    isDeepStrictEqual(slice.metadata.ownerReferences, placeholder.metadata.ownerReferences)
  );
}
