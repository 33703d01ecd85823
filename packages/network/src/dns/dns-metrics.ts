import type { Metrics } from '@k8ts/base';

import { RecordType } from './message.ts';

/** Under CoreDNS's names, which dashboards know. Durations in milliseconds. */
export interface DnsMetrics {
  asked(transport: 'udp' | 'tcp', type: number): void;
  answered(code: string, source: 'kubernetes' | 'forward' | 'cache', milliseconds: number): void;
  cacheLookup(hit: boolean): void;
  cacheSize(entries: number): void;
}

const TYPE_NAMES = new Map<number, string>(Object.entries(RecordType).map(([name, type]) => [type, name]));

export function createDnsMetrics(metrics: Metrics, server: string): DnsMetrics {
  const requests = metrics.counter({
    name: 'coredns_dns_requests_total',
    help: 'Questions asked, by transport and type.',
    labels: ['server', 'proto', 'type'],
  });
  const responses = metrics.counter({
    name: 'coredns_dns_responses_total',
    help: 'Answers given, by code and by who knew them.',
    labels: ['server', 'rcode', 'plugin'],
  });
  const duration = metrics.histogram({
    name: 'coredns_dns_request_duration_seconds',
    help: 'Time to answer a question.',
    labels: ['server'],
    buckets: Array.from({ length: 16 }, (_, index) => 0.00025 * 2 ** index),
  });
  const hits = metrics.counter({
    name: 'coredns_cache_hits_total',
    help: 'Questions answered from the cache.',
    labels: ['server'],
  });
  const misses = metrics.counter({
    name: 'coredns_cache_misses_total',
    help: 'Questions that the cache could not answer.',
    labels: ['server'],
  });
  const entries = metrics.gauge({
    name: 'coredns_cache_entries',
    help: 'Answers in the cache.',
    labels: ['server'],
  });
  const mine = [server];
  return {
    asked: (transport, type) => requests.increment([server, transport, TYPE_NAMES.get(type) ?? 'other']),
    answered: (code, source, milliseconds) => {
      responses.increment([server, code, source]);
      duration.observe(milliseconds / 1000, mine);
    },
    cacheLookup: (hit) => (hit ? hits : misses).increment(mine),
    cacheSize: (size) => entries.set(size, mine),
  };
}
