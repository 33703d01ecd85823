import type { Clock, Metrics } from '@k8ts/base';
import type { RequestContext } from './request/request-context.ts';

export interface RequestMetrics {
  /** Call the result with the status code when the request is over. */
  begin(context: RequestContext, clock: Clock): (code: number) => void;
}

const DURATION_BUCKETS = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];

const SCOPED_VERBS: Readonly<Record<string, string>> = {
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETECOLLECTION',
};

/** apiserver_request_total and _duration_seconds, with upstream's labels (apiserver/pkg/endpoints/metrics). */
export function createRequestMetrics(
  metrics: Metrics,
  isKnown: (context: RequestContext) => boolean,
): RequestMetrics {
  const total = metrics.counter({
    name: 'apiserver_request_total',
    help: 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
    labels: ['code', 'component', 'dry_run', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'],
  });
  const duration = metrics.histogram({
    name: 'apiserver_request_duration_seconds',
    help: 'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
    labels: ['component', 'dry_run', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'],
    buckets: DURATION_BUCKETS,
  });
  const longRunning = metrics.gauge({
    name: 'apiserver_longrunning_requests',
    help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.',
    labels: ['component', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'],
  });
  return {
    begin(context, clock) {
      const start = clock.monotonic();
      const { info, query } = context;
      const verb = verbLabel(context);
      const scope = !info.isResourceRequest
        ? ''
        : info.name !== ''
          ? 'resource'
          : info.namespace !== ''
            ? 'namespace'
            : 'cluster';
      const dryRun = query.isEmpty ? '' : query.getAll('dryRun').join(',');
      const isLong = verb === 'WATCH' || verb === 'CONNECT';
      // Label values come from requests: only what the server knows becomes one.
      const { group, resource, subresource, version } = isKnown(context) ? info : UNKNOWN;
      const longLabels = ['apiserver', group, resource, scope, subresource, verb, version];
      if (isLong) longRunning.add(1, longLabels);
      let isOver = false;
      return (code) => {
        if (isOver) return;
        isOver = true;
        total.increment([
          String(code),
          'apiserver',
          dryRun,
          group,
          resource,
          scope,
          subresource,
          verb,
          version,
        ]);
        if (isLong) longRunning.add(-1, longLabels);
        else
          duration.observe((clock.monotonic() - start) / 1_000, [
            'apiserver',
            dryRun,
            group,
            resource,
            scope,
            subresource,
            verb,
            version,
          ]);
      };
    },
  };
}

const CONNECT_SUBRESOURCES = new Set(['attach', 'exec', 'portforward', 'proxy', 'log']);

function verbLabel({ info, method }: RequestContext): string {
  if (CONNECT_SUBRESOURCES.has(info.subresource)) return 'CONNECT';
  return (
    (info.isResourceRequest ? SCOPED_VERBS[info.verb] : undefined) ??
    (KNOWN_METHODS.has(method) ? method : 'other')
  );
}

const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

const UNKNOWN = { group: '', resource: '', subresource: '', version: '' };
