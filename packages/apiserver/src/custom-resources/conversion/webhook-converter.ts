/** Objects of one version of a custom resource in another, as the definition's webhook converts them. */
import type { KubeObject } from '@k8ts/api';
import { StatusError } from '@k8ts/apimachinery';
import { errorMessage, realClock, type Metrics } from '@k8ts/base';
import type { WebhookClient } from '../../admission/webhooks/webhook-client.ts';
import type { Definition } from '../rows.ts';
import {
  checkedConversion,
  ConvertedObjectError,
  conversionReview,
  convertedObjectsOf,
  type ConversionFault,
  type ConversionReview,
} from './conversion-review.ts';
import { createConversionMetrics, type FailureType } from './conversion-metrics.ts';

/** Milliseconds that a webhook has to answer. */
const TIMEOUT = 30_000;

export interface ConversionServices {
  readonly client: WebhookClient;
  readonly metrics: Metrics;
}

/**
 * Objects of one version, at least one, in another: with one question, all or none, in order. What is returned shares
 * nothing but metadata with what is given. Rejects with a StatusError in upstream's words.
 */
export type Convert = (objects: readonly KubeObject[], apiVersion: string) => Promise<readonly KubeObject[]>;

class ConversionFailure extends Error {
  override readonly name = 'ConversionFailure';
  readonly type: FailureType;
  constructor(type: FailureType, message: string) {
    super(message);
    this.type = type;
  }
}

/** The converter of a definition whose strategy is `Webhook`. */
export function webhookConverter(definition: Definition, services: ConversionServices): Convert {
  const metrics = createConversionMetrics(services.metrics, definition.metadata.name);
  return async (objects, apiVersion) => {
    const from = objects[0]?.apiVersion ?? '';
    const start = realClock.monotonic();
    try {
      const converted = await ask(definition, services.client, objects, apiVersion);
      metrics.observe(from, apiVersion, realClock.monotonic() - start, undefined);
      return converted;
    } catch (error) {
      if (!(error instanceof ConversionFailure)) throw error;
      metrics.observe(from, apiVersion, realClock.monotonic() - start, error.type);
      throw conversionError(error.message);
    }
  };
}

/** Upstream answers with a plain error here, which becomes a 500 without a reason. */
export function conversionError(message: string): StatusError {
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    code: 500,
  });
}

async function ask(
  { spec }: Definition,
  client: WebhookClient,
  objects: readonly KubeObject[],
  apiVersion: string,
): Promise<readonly KubeObject[]> {
  const { clientConfig = {}, conversionReviewVersions = [] } = spec.conversion?.webhook ?? {};
  const review = reviewOf(objects, apiVersion, conversionReviewVersions);
  const webhook = `conversion webhook for ${objects[0]?.apiVersion ?? ''}, Kind=${objects[0]?.kind ?? ''}`;
  const answer = await client
    .call({ clientConfig, body: review.body, timeout: TIMEOUT, signal: undefined })
    .catch((error: unknown) => {
      const message = `${webhook} failed: ${errorMessage(error)}`;
      throw new ConversionFailure('conversion_webhook_call_failure', message);
    });
  let converted: readonly unknown[];
  try {
    converted = convertedObjectsOf(review, answer);
  } catch (error) {
    const message = `${webhook} failed: ${errorMessage(error)}`;
    throw new ConversionFailure('conversion_webhook_malformed_response_failure', message);
  }
  if (converted.length !== objects.length)
    throw new ConversionFailure(
      'conversion_webhook_partial_response_failure',
      `${webhook} returned ${converted.length} objects, expected ${objects.length}`,
    );
  return objects.map((original, at) => {
    try {
      return checkedConversion(original, converted[at], apiVersion);
    } catch (error) {
      if (!(error instanceof ConvertedObjectError)) throw error;
      const message =
        objects.length === 1
          ? SINGLE[error.what](webhook, error.message)
          : error.what === 'metadata'
            ? `${webhook} returned invalid metadata in object at index ${at}: ${error.message}`
            : `${webhook} returned invalid converted object at index ${at}: ${error.message}`;
      throw new ConversionFailure('conversion_webhook_invalid_converted_object_failure', message);
    }
  });
}

/** How it is said of an object that was sent alone. */
const SINGLE: Readonly<Record<ConversionFault, (webhook: string, message: string) => string>> = {
  form: (_webhook, message) => message,
  type: (webhook, message) => `${webhook} returned invalid object at index 0: ${message}`,
  object: (webhook, message) => `${webhook} returned invalid object: ${message}`,
  metadata: (webhook, message) => `${webhook} returned invalid metadata: ${message}`,
};

function reviewOf(
  objects: readonly KubeObject[],
  apiVersion: string,
  reviewVersions: readonly string[],
): ConversionReview {
  try {
    return conversionReview(objects, apiVersion, reviewVersions);
  } catch (error) {
    throw conversionError(errorMessage(error));
  }
}
