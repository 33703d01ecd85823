/** Names and buckets are upstream's (apiextensions-apiserver/pkg/apiserver/conversion/metrics.go). */
import type { Metrics } from '@k8ts/base';

export type FailureType =
  | 'conversion_webhook_call_failure'
  | 'conversion_webhook_malformed_response_failure'
  | 'conversion_webhook_partial_response_failure'
  | 'conversion_webhook_invalid_converted_object_failure';

export interface ConversionMetrics {
  /** `duration` in milliseconds; `failure`: undefined when the conversion succeeded. */
  observe(
    fromApiVersion: string,
    toApiVersion: string,
    duration: number,
    failure: FailureType | undefined,
  ): void;
}

/** 1 ms, doubled fourteen times. */
const DEFINITION_BUCKETS = Array.from({ length: 15 }, (_, power) => 0.001 * 2 ** power);
const REQUEST_BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 60];

export function createConversionMetrics(metrics: Metrics, definition: string): ConversionMetrics {
  const byDefinition = metrics.histogram({
    name: 'apiserver_crd_conversion_webhook_duration_seconds',
    help: 'CRD webhook conversion duration in seconds',
    labels: ['crd_name', 'from_version', 'to_version', 'succeeded'],
    buckets: DEFINITION_BUCKETS,
  });
  const requests = metrics.counter({
    name: 'apiserver_conversion_webhook_request_total',
    help: 'Counter for conversion webhook requests with success/failure and failure error type',
    labels: ['result', 'failure_type'],
  });
  const durations = metrics.histogram({
    name: 'apiserver_conversion_webhook_duration_seconds',
    help: 'Conversion webhook request latency',
    labels: ['result', 'failure_type'],
    buckets: REQUEST_BUCKETS,
  });
  return {
    observe(from, to, duration, failure) {
      const succeeded = failure === undefined;
      const seconds = duration / 1_000;
      byDefinition.observe(seconds, [definition, versionOf(from), versionOf(to), String(succeeded)]);
      const result = [succeeded ? 'success' : 'failure', failure ?? ''];
      requests.increment(result);
      durations.observe(seconds, result);
    },
  };
}

function versionOf(apiVersion: string): string {
  return apiVersion.slice(apiVersion.indexOf('/') + 1);
}
