import type { IpFamily } from '../address.ts';

/**
 * A proxy mode turns plans into what the machine does with packets. Modes live in folders beside this file and are
 * listed in `mode-registry.ts`.
 */
export interface ProxyMode {
  /**
   * Makes the machine follow the plans. With `full`, `plans` are those of all services, and whatever else is there from
   * earlier runs or other hands goes; otherwise only the given services changed (an empty plan: the service is gone) and
   * the rest is as the last sync left it. Nothing changes when it throws; the caller then asks for a full sync.
   */
  sync(plans: ReadonlyMap<string, ServicePlan>, full: boolean): Promise<void>;
  /** False when others removed what `sync` made, so that a full sync is needed. */
  intact(): Promise<boolean>;
  /** Removes everything this mode ever made. Twice is harmless. */
  cleanup(): Promise<void>;
}

/** What the proxy does for one Service in one address family. */
export interface ServicePlan {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly ServicePortPlan[];
  /** For load balancers that ask nodes whether to send traffic here; undefined: nobody asks. */
  readonly healthCheck: { readonly port: number; readonly localEndpoints: number } | undefined;
}

export type TransportProtocol = 'tcp' | 'udp' | 'sctp';

export interface ServicePortPlan {
  /** Empty for the only port of a Service. */
  readonly portName: string;
  readonly protocol: TransportProtocol;
  readonly clusterIp: string;
  readonly port: number;
  /** 0: none. */
  readonly nodePort: number;
  readonly externalIps: readonly string[];
  readonly loadBalancerIps: readonly string[];
  /** CIDRs that may use the load balancer's addresses; empty: all may. */
  readonly sourceRanges: readonly string[];
  /** Seconds for which a client keeps its endpoint; 0: no session affinity. */
  readonly affinitySeconds: number;
  readonly internalPolicyLocal: boolean;
  readonly externalPolicyLocal: boolean;
  readonly endpoints: EndpointChoice;
}

/** An endpoint, `ip` canonical. */
export interface Target {
  readonly ip: string;
  readonly port: number;
}

/** The endpoints by traffic policy (pkg/proxy/topology.go, CategorizeEndpoints). */
export interface EndpointChoice {
  /** For traffic under the policy Cluster. */
  readonly cluster: readonly Target[];
  /** For traffic under the policy Local. */
  readonly local: readonly Target[];
  /** Both together, each once. */
  readonly reachable: readonly Target[];
  /** There are some anywhere in the cluster, even if none may be used from here. */
  readonly any: boolean;
  /** Addresses that serve, whatever the policies: flows to others are cut. */
  readonly servingIps: readonly string[];
}

/** The node as traffic policies see it. */
export interface ProxyNode {
  readonly name: string;
  /** From its label `topology.kubernetes.io/zone`; empty: none. */
  readonly zone: string;
}

export interface ProxyModeOptions {
  readonly family: IpFamily;
  /** The node's addresses of that family that accept node ports; undefined: all that are local. */
  readonly nodePortAddresses: readonly string[] | undefined;
  /** Node ports answer on 127.0.0.1 too. */
  readonly localhostNodePorts: boolean;
  /** Pods' addresses in the cluster; traffic from elsewhere to a cluster IP is masqueraded. Empty: not known. */
  readonly clusterCidrs: readonly string[];
  /** Addresses that Services may have: what goes to one that none has is dropped. Empty: not known. */
  readonly serviceCidrs: readonly string[];
  /** Masquerade all traffic to cluster IPs. */
  readonly masqueradeAll: boolean;
  /** The node's primary address of the family, which `loadBalancerSourceRanges` may allow. */
  readonly nodeIp: string | undefined;
}
