import {
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';

/** The metrics port. Names, label names and buckets are upstream's (`apiserver_request_duration_seconds`, …). */
export interface Metrics {
  counter(options: MetricOptions): Counter;
  gauge(options: MetricOptions): Gauge;
  histogram(options: MetricOptions & { readonly buckets: readonly number[] }): Histogram;
  /** All values in the Prometheus text format. */
  text(): Promise<string>;
}

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** Label values are given in the order of `labels`. `child` fixes them once, for hot paths. */
export interface Counter {
  increment(labels?: readonly string[], by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: readonly string[]): void;
  add(value: number, labels?: readonly string[]): void;
}
export interface Histogram {
  observe(value: number, labels?: readonly string[]): void;
}

/** One registry per cluster: several clusters live in one process. Registering a name twice gives the same metric. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const known = new Map<string, Counter | Gauge | Histogram>();
  const once = <T extends Counter | Gauge | Histogram>(name: string, make: () => T): T => {
    let metric = known.get(name) as T | undefined;
    if (metric === undefined) known.set(name, (metric = make()));
    return metric;
  };
  return {
    counter: ({ name, help, labels = [] }) =>
      once(name, () => {
        const metric = new PromCounter({ name, help, labelNames: [...labels], registers: [registry] });
        const child = childCache((values) => metric.labels(...values));
        return { increment: (values = [], by = 1) => child(values).inc(by) };
      }),
    gauge: ({ name, help, labels = [] }) =>
      once(name, () => {
        const metric = new PromGauge({ name, help, labelNames: [...labels], registers: [registry] });
        const child = childCache((values) => metric.labels(...values));
        return {
          set: (value, values = []) => child(values).set(value),
          add: (value, values = []) => child(values).inc(value),
        };
      }),
    histogram: ({ name, help, labels = [], buckets }) =>
      once(name, () => {
        const metric = new PromHistogram({
          name,
          help,
          labelNames: [...labels],
          buckets: [...buckets],
          registers: [registry],
        });
        const child = childCache((values) => metric.labels(...values));
        return { observe: (value, values = []) => child(values).observe(value) };
      }),
    text: () => registry.metrics(),
  };
}

/** The library hashes label objects on every call; a hot path repeats the same few label sets, so the child is kept. */
function childCache<T>(make: (values: string[]) => T): (values: readonly string[]) => T {
  const children = new Map<string, T>();
  return (values) => {
    const key = values.length === 1 ? (values[0] as string) : values.join('\u0000');
    let child = children.get(key);
    if (child === undefined) children.set(key, (child = make([...values])));
    return child;
  };
}
