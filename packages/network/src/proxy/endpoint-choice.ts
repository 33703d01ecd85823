import type { discoveryv1 } from '@k8ts/api';

import { canonicalAddress, familyOf } from '../address.ts';
import type { IpFamily } from '../address.ts';
import type { EndpointChoice, ProxyNode, Target } from './contract.ts';

/** One endpoint of one port, as the policies see it. */
export interface ProxyEndpoint extends Target {
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** On this node. */
  readonly local: boolean;
  readonly hintedNodes: readonly string[];
  readonly hintedZones: readonly string[];
}

/** The endpoints of a Service's port, each address and port once, in the order of their addresses. */
export function endpointsOf(
  slices: readonly discoveryv1.EndpointSlice[],
  portName: string,
  protocol: string,
  node: ProxyNode,
  family: IpFamily,
): readonly ProxyEndpoint[] {
  const found = new Map<string, ProxyEndpoint>();
  for (const { addressType, ports = [], endpoints = [] } of slices) {
    if (addressType !== family) continue;
    for (const { name = '', protocol: sliceProtocol = 'TCP', port = 0 } of ports) {
      if (name !== portName || sliceProtocol !== protocol || port === 0) continue;
      for (const endpoint of endpoints) {
        const address = endpoint.addresses[0];
        if (address === undefined || familyOf(address) !== family) continue;
        const ip = canonicalAddress(address) ?? address;
        const { ready, serving, terminating } = endpoint.conditions ?? {};
        const local = node.name !== '' && endpoint.nodeName === node.name;
        const key = `${ip}/${port}`;
        // An endpoint that moves between slices is in both for a moment.
        if (found.has(key) && !local) continue;
        found.set(key, {
          ip,
          port,
          ready: ready ?? true,
          serving: serving ?? true,
          terminating: terminating ?? false,
          local,
          hintedNodes: (endpoint.hints?.forNodes ?? []).map(({ name: hinted }) => hinted),
          hintedZones: (endpoint.hints?.forZones ?? []).map(({ name: hinted }) => hinted),
        });
      }
    }
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, endpoint]) => endpoint);
}

/**
 * Which endpoints the two traffic policies use. Ready ones; where there are none, those that terminate but still serve
 * (KEP-1669), for each policy on its own. Topology hints narrow the policy Cluster only, and only when every ready
 * endpoint has one and some are for here.
 */
export function chooseEndpoints(
  endpoints: readonly ProxyEndpoint[],
  node: ProxyNode,
  policies: { readonly usesCluster: boolean; readonly usesLocal: boolean },
): EndpointChoice {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  const draining = endpoints.filter(
    ({ ready: isReady, serving, terminating }) => !isReady && serving && terminating,
  );
  const orDraining = (chosen: readonly ProxyEndpoint[], fallback: readonly ProxyEndpoint[]) =>
    chosen.length > 0 ? chosen : fallback;

  const cluster = policies.usesCluster ? orDraining(narrowByHints(ready, node), draining) : [];
  const local = policies.usesLocal
    ? orDraining(
        ready.filter((endpoint) => endpoint.local),
        draining.filter((endpoint) => endpoint.local),
      )
    : [];
  const reachable = new Set([...cluster, ...local]);
  return {
    cluster: cluster.map(toTarget),
    local: local.map(toTarget),
    reachable: [...reachable].map(toTarget),
    any: policies.usesLocal ? ready.length + draining.length > 0 : cluster.length > 0,
    servingIps: [...new Set(endpoints.filter(({ serving }) => serving).map(({ ip }) => ip))],
  };
}

function narrowByHints(ready: readonly ProxyEndpoint[], node: ProxyNode): readonly ProxyEndpoint[] {
  if (ready.every(({ hintedNodes }) => hintedNodes.length > 0)) {
    const here = ready.filter(({ hintedNodes }) => hintedNodes.includes(node.name));
    if (here.length > 0) return here;
  }
  if (ready.every(({ hintedZones }) => hintedZones.length > 0)) {
    const here = ready.filter(({ hintedZones }) => hintedZones.includes(node.zone));
    if (here.length > 0) return here;
  }
  return ready;
}

const toTarget = ({ ip, port }: ProxyEndpoint): Target => ({ ip, port });
