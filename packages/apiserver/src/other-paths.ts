/** Everything that is not about resources: discovery, health, version, metrics. */
import { unknownPath } from '@k8ts/apimachinery';
import type { Metrics } from '@k8ts/base';
import type { Aggregation } from './aggregation/contract.ts';
import { wantedVersion, type AggregatedDiscovery } from './discovery/aggregated-discovery.ts';
import {
  apiGroup,
  apiGroupList,
  apiResourceList,
  apiVersions,
  groupsOf,
} from './discovery/legacy-discovery.ts';
import { healthResult, type HealthCheck } from './health/health.ts';
import type { OpenApi } from './openapi/documents.ts';
import type { ResourceRegistry } from './registry/resource-registry.ts';
import type { RequestContext } from './request/request-context.ts';
import { rawJson, type Result } from './request/result.ts';
import { VERSION_INFO } from './version-info.ts';

/** Answers GETs of one path. */
export type OtherHandler = (context: RequestContext) => Result | Promise<Result>;

export interface OtherPaths {
  readonly registry: ResourceRegistry;
  readonly aggregation: Aggregation | undefined;
  readonly aggregatedDiscovery: AggregatedDiscovery;
  readonly openApi: OpenApi;
  readonly metrics: Metrics;
  /** By whole path, without a slash at the end. */
  readonly further: ReadonlyMap<string, OtherHandler>;
  /** `host:port` that clients reach this server at. */
  readonly serverAddress: () => string;
  readonly checks: {
    readonly healthz: readonly HealthCheck[];
    readonly livez: readonly HealthCheck[];
    readonly readyz: readonly HealthCheck[];
  };
}

export function handleOther(paths: OtherPaths, context: RequestContext): Result | Promise<Result> {
  const parts = context.path.split('/').filter((part) => part !== '');
  const { method } = context;
  if (method !== 'GET' && method !== 'HEAD') throw unknownPath();
  const [first = '', second, third] = parts;
  switch (first) {
    case '':
      return rawJson({ paths: rootPaths(paths) });
    case 'api':
    case 'apis':
      return discovery(paths, context, parts);
    case 'version':
      if (second === undefined) return rawJson(VERSION_INFO);
      break;
    case 'healthz':
    case 'livez':
    case 'readyz':
      if (third === undefined) return healthResult(first, second ?? '', paths.checks[first], context);
      break;
    case 'openapi':
      if (second === 'v2' && third === undefined) return paths.openApi.v2(context);
      if (second === 'v3') return paths.openApi.v3(parts.slice(2).join('/'), context);
      break;
    case 'metrics':
      if (second === undefined) return metricsResult(paths.metrics);
      break;
  }
  const further = paths.further.get(`/${parts.join('/')}`);
  if (further !== undefined) return further(context);
  throw unknownPath();
}

async function metricsResult(metrics: Metrics): Promise<Result> {
  return {
    kind: 'raw',
    code: 200,
    contentType: 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores',
    body: await metrics.text(),
  };
}

function discovery(
  { registry, aggregation, serverAddress, aggregatedDiscovery }: OtherPaths,
  context: RequestContext,
  parts: readonly string[],
): Result {
  if (parts.length === 1) {
    const version = wantedVersion(context);
    if (version !== undefined)
      return aggregatedDiscovery.result(parts[0] as 'api' | 'apis', version, context);
  }
  const groups = groupsOf(registry, aggregation);
  if (parts[0] === 'api') {
    if (parts.length === 1) return rawJson(apiVersions(serverAddress()));
    if (parts.length === 2 && parts[1] === 'v1') return rawJson(apiResourceList(registry, '', 'v1'));
    throw unknownPath();
  }
  const [, group, version] = parts;
  if (group === undefined) return rawJson(apiGroupList(groups));
  const found = groups.find((entry) => entry.group === group);
  if (found === undefined) throw unknownPath();
  if (version === undefined) return rawJson(apiGroup(found, true));
  if (parts.length === 3 && found.versions.includes(version))
    return rawJson(apiResourceList(registry, group, version));
  throw unknownPath();
}

function rootPaths({ registry, aggregation, checks, further }: OtherPaths): string[] {
  const paths = ['/api', '/api/v1', '/apis', '/metrics', '/openapi/v2', '/openapi/v3', '/version'];
  for (const { group, versions } of groupsOf(registry, aggregation)) {
    paths.push(`/apis/${group}`);
    for (const version of versions) paths.push(`/apis/${group}/${version}`);
  }
  paths.push(...further.keys());
  for (const kind of ['healthz', 'livez', 'readyz'] as const) {
    paths.push(`/${kind}`);
    for (const { name } of checks[kind]) paths.push(`/${kind}/${name}`);
  }
  return paths.sort();
}
