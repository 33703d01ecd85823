import type { rbacv1 } from '@k8ts/api';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Client, EventRecorder, InformerFactory, WorkQueue } from '@k8ts/client';

/**
 * A controller before it runs: what it is called, what it may do, and how it starts. This is the one shape of all of them.
 * The registry lists them; the manager gives each its queue, its workers and its identity.
 */
export interface ControllerDefinition {
  /** Upstream's name, as `--controllers` takes it: `deployment-controller`. */
  readonly name: string;
  /**
   * The service account in kube-system that it acts as; its role is `system:controller:<account>`. Undefined: it acts as
   * the manager itself (system:kube-controller-manager).
   */
  readonly account: string | undefined;
  /** The rules of that role, upstream's (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go). */
  readonly permissions: readonly rbacv1.PolicyRule[];
  /** The queue's name in metrics: `workqueue_depth{name="deployment"}`. */
  readonly queue: string;
  /** Keys reconciled at the same time, unless the manager is told otherwise. Upstream's defaults. */
  readonly workers: number;
  /** Failures of a key after which it is dropped until something changes again. Undefined: it is tried for ever. */
  readonly maxRetries: number | undefined;
  /** Who speaks in its events: `deployment-controller`. */
  readonly eventSource: string;
  /** Asks for its informers, adds handlers that put keys into `context.queue`, and returns its reconcile function. */
  create(context: ControllerContext): Controller;
}

export interface Controller {
  /**
   * Brings one object from what is to what should be. It reads listers, acts through the client, and is called again when
   * something it watches changes, when it throws (after a growing wait), and when it put its key into the queue itself.
   * Never called for the same key twice at a time.
   */
  reconcile(key: string, signal: AbortSignal): Promise<void>;
  /** Work besides the queue, such as a periodic sweep; ends when the signal aborts. Starts once the informers are synced. */
  run?(signal: AbortSignal): Promise<void>;
}

export interface ControllerContext {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly queue: WorkQueue;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly options: ControllerOptions;
}

/** What the cluster's operator decides; the flags of kube-controller-manager. Times are milliseconds. */
export interface ControllerOptions {
  /** `--root-ca-file`: PEM, published to every namespace as kube-root-ca.crt. Undefined: nothing is published. */
  readonly rootCA?: string;
  /** Signs the tokens of Secrets of type service-account-token. Undefined: such Secrets get none. */
  readonly signServiceAccountToken?: (claims: LegacyTokenClaims) => Promise<string>;
  /** `--terminated-pod-gc-threshold`. Default 12500; 0 or less keeps all. */
  readonly terminatedPodThreshold?: number;
  /** `--node-monitor-grace-period`. Default 50 s (upstream since 1.32). */
  readonly nodeMonitorGracePeriod?: number;
  /** `--node-startup-grace-period`. Default 60 s. */
  readonly nodeStartupGracePeriod?: number;
  /** `--node-monitor-period`. Default 5 s. */
  readonly nodeMonitorPeriod?: number;
  /** `--node-eviction-rate`: nodes per second of a healthy zone. Default 0.1. */
  readonly nodeEvictionRate?: number;
  /** `--secondary-node-eviction-rate`: of an unhealthy zone. Default 0.01. */
  readonly secondaryNodeEvictionRate?: number;
  /** `--large-cluster-size-threshold`. Default 50. */
  readonly largeClusterSizeThreshold?: number;
  /** `--unhealthy-zone-threshold`. Default 0.55. */
  readonly unhealthyZoneThreshold?: number;
  /** `--max-endpoints-per-slice`. Default 100. */
  readonly maxEndpointsPerSlice?: number;
  /** `--resource-quota-sync-period`: between full counts of all quotas. Default 5 min. */
  readonly resourceQuotaSyncPeriod?: number;
  /** The zone of CronJobs that name none. Default: this machine's. */
  readonly timeZone?: string;
  /** `--enable-garbage-collector` waits this long between looks for new resource types. Default 30 s. */
  readonly discoveryPeriod?: number;
}

/** The claims of a token that lives as long as its Secret. */
export interface LegacyTokenClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
  readonly secretName: string;
}
