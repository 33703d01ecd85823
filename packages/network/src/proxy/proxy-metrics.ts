import type { Metrics } from '@k8ts/base';

import type { IpFamily } from '../address.ts';

/** One family's numbers, under upstream's names (pkg/proxy/metrics/metrics.go). Durations in milliseconds. */
export interface ProxyMetrics {
  synced(full: boolean, milliseconds: number, now: number): void;
  failed(): void;
  queued(now: number): void;
  /** From the change of a pod or Service to its rules. */
  programmed(milliseconds: number): void;
  noLocalEndpoints(internal: number, external: number): void;
}

const exponential = (start: number, factor: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => start * factor ** index);
const linear = (start: number, width: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => start + width * index);

const SYNC_BUCKETS = exponential(0.001, 2, 15);
const PROGRAMMING_BUCKETS = [
  ...linear(0.25, 0.25, 2),
  ...linear(1, 1, 59),
  ...linear(60, 5, 12),
  ...linear(120, 30, 7),
];

export function createProxyMetrics(metrics: Metrics, family: IpFamily): ProxyMetrics {
  const labels = ['ip_family'] as const;
  const mine = [family] as const;
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    metrics.histogram({ name: `kubeproxy_${name}`, help, labels, buckets });

  const duration = histogram(
    'sync_proxy_rules_duration_seconds',
    'Duration of a sync of the rules.',
    SYNC_BUCKETS,
  );
  const full = histogram(
    'sync_full_proxy_rules_duration_seconds',
    'Duration of a sync of all rules.',
    SYNC_BUCKETS,
  );
  const partial = histogram(
    'sync_partial_proxy_rules_duration_seconds',
    'Duration of a sync of changed rules.',
    SYNC_BUCKETS,
  );
  const programming = histogram(
    'network_programming_duration_seconds',
    'Time from a change in the cluster to its rules.',
    PROGRAMMING_BUCKETS,
  );
  const lastSync = metrics.gauge({
    name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    help: 'When the rules were last synced.',
    labels,
  });
  const lastQueued = metrics.gauge({
    name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    help: 'When a sync was last asked for.',
    labels,
  });
  const failures = metrics.counter({
    name: 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total',
    help: 'Syncs that nftables refused.',
    labels,
  });
  const noLocal = metrics.gauge({
    name: 'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    help: 'Services of the traffic policy Local without an endpoint here.',
    labels: ['ip_family', 'traffic_policy'],
  });
  return {
    synced: (isFull, milliseconds, now) => {
      duration.observe(milliseconds / 1000, mine);
      (isFull ? full : partial).observe(milliseconds / 1000, mine);
      lastSync.set(now / 1000, mine);
    },
    failed: () => failures.increment(mine),
    queued: (now) => lastQueued.set(now / 1000, mine),
    programmed: (milliseconds) => programming.observe(milliseconds / 1000, mine),
    noLocalEndpoints: (internal, external) => {
      noLocal.set(internal, [family, 'internal']);
      noLocal.set(external, [family, 'external']);
    },
  };
}

export type ChangeKind = 'service' | 'endpoint';

/** Changes seen, and Services that wait for them to be written. */
export interface ChangeMetrics {
  seen(kind: ChangeKind, service: string): void;
  synced(): void;
}

export function createChangeMetrics(metrics: Metrics): ChangeMetrics {
  const of = (kind: ChangeKind) => ({
    total: metrics.counter({
      name: `kubeproxy_sync_proxy_rules_${kind}_changes_total`,
      help: `Changes of the kind ${kind} seen.`,
    }),
    pending: metrics.gauge({
      name: `kubeproxy_sync_proxy_rules_${kind}_changes_pending`,
      help: `Services with changes of the kind ${kind} that are not synced yet.`,
    }),
    services: new Set<string>(),
  });
  const kinds = { service: of('service'), endpoint: of('endpoint') };
  return {
    seen: (kind, service) => {
      const { total, pending, services } = kinds[kind];
      total.increment();
      services.add(service);
      pending.set(services.size);
    },
    synced: () => {
      for (const { pending, services } of Object.values(kinds)) {
        services.clear();
        pending.set(0);
      }
    },
  };
}
