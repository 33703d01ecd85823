export type * from './contract.ts';
export type { ApiRequest, Transport, WatchEvent } from './transport.ts';
export { METADATA_LIST_ONLY, METADATA_ONLY } from './transport.ts';
export { createClient } from './client.ts';
export { apiVersionOf, resourcePath } from './resource-path.ts';
export type { ResourceTarget } from './resource-path.ts';
export { createHttpTransport } from './http-transport.ts';
export type { HttpTransportOptions } from './http-transport.ts';
export { decodeBody } from './http/response-body.ts';
export { responseError } from './http/response-error.ts';
export { watchEvents } from './http/watch-stream.ts';
export type { Credentials, Impersonation } from './credentials.ts';
export { INITIAL_EVENTS_END, runReflector } from './reflector.ts';
export type { ReflectorOptions, ReflectorTarget } from './reflector.ts';
export { createInformerFactory } from './informer-factory.ts';
export type { InformerFactoryOptions } from './informer-factory.ts';
export { createWorkQueue } from './work-queue.ts';
export type { WorkQueue, WorkQueueOptions } from './work-queue.ts';
export { createQueueMetrics } from './queue-metrics.ts';
export type { QueueMetrics } from './queue-metrics.ts';
export {
  TokenBucket,
  bucketRateLimiter,
  defaultRateLimiter,
  exponentialRateLimiter,
  maxOfRateLimiters,
} from './rate-limiter.ts';
export type { RateLimiter } from './rate-limiter.ts';
export { createBackoff } from './backoff.ts';
export type { Backoff, BackoffOptions } from './backoff.ts';
export { retryOnConflict, retryOnError } from './retry.ts';
export type { RetryOptions } from './retry.ts';
export { controllerOf, controllerRef, isControlledBy, objectKey, splitKey } from './controller-ref.ts';
export { createEventBroadcaster, createEventRecorder } from './event-recorder.ts';
export type { EventBroadcaster, EventRecorderOptions } from './event-recorder.ts';
export { runLeaderElection } from './leader-election.ts';
export type { LeaderElectionOptions } from './leader-election.ts';
export {
  KubeconfigError,
  kubeconfigTarget,
  loadKubeconfig,
  mergeKubeconfigs,
  parseKubeconfig,
} from './kubeconfig.ts';
export type { KubeconfigOptions, KubeconfigTarget } from './kubeconfig.ts';
export { inClusterConfig } from './in-cluster.ts';
export type { InClusterOptions } from './in-cluster.ts';
export { discoverResources } from './discovery.ts';
export type { DiscoveredResource, Discovery } from './discovery.ts';
export { LruMap } from './lru-map.ts';
