/** Webhook configurations. */
import { admissionregistrationv1, type Draft } from '@k8ts/api';
import type { FieldError } from '@k8ts/apimachinery';
import { webhookConfigurationColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { generationRules } from '../strategy-parts.ts';
import { validateWebhooks, type Webhook as ValidatedWebhook } from './validation/webhooks.ts';

type Webhook =
  Draft<admissionregistrationv1.ValidatingWebhook> | Draft<admissionregistrationv1.MutatingWebhook>;

const TIMEOUT_SECONDS = 10;
const HTTPS = 443;

function setWebhookDefaults(webhook: Webhook): void {
  webhook.failurePolicy ??= 'Fail';
  webhook.matchPolicy ??= 'Equivalent';
  webhook.namespaceSelector ??= {};
  webhook.objectSelector ??= {};
  webhook.timeoutSeconds ??= TIMEOUT_SECONDS;
  for (const rule of webhook.rules ?? []) rule.scope ??= '*';
  const service = webhook.clientConfig?.service;
  if (service !== undefined) service.port ??= HTTPS;
}

interface Configuration {
  readonly webhooks?: readonly (
    admissionregistrationv1.ValidatingWebhook | admissionregistrationv1.MutatingWebhook
  )[];
}

function webhooksOf({ webhooks }: Configuration): readonly ValidatedWebhook[] {
  return webhooks ?? [];
}

const validate = (configuration: Configuration): FieldError[] =>
  validateWebhooks(webhooksOf(configuration), undefined);
const validateUpdate = (configuration: Configuration, old: Configuration): FieldError[] =>
  validateWebhooks(webhooksOf(configuration), webhooksOf(old));

export const validatingWebhookConfigurationStrategy: Strategy<admissionregistrationv1.ValidatingWebhookConfiguration> =
  {
    type: admissionregistrationv1.validatingWebhookConfigurations,
    setDefaults({ webhooks = [] }) {
      for (const webhook of webhooks) setWebhookDefaults(webhook);
    },
    ...generationRules(admissionregistrationv1.validatingWebhookConfigurations, {
      fields: ['webhooks'],
      status: false,
    }),
    validate,
    validateUpdate,
    allowUnconditionalUpdate: false,
    columns: webhookConfigurationColumns,
  };

export const mutatingWebhookConfigurationStrategy: Strategy<admissionregistrationv1.MutatingWebhookConfiguration> =
  {
    type: admissionregistrationv1.mutatingWebhookConfigurations,
    setDefaults({ webhooks = [] }) {
      for (const webhook of webhooks) {
        setWebhookDefaults(webhook);
        webhook.reinvocationPolicy ??= 'Never';
      }
    },
    ...generationRules(admissionregistrationv1.mutatingWebhookConfigurations, {
      fields: ['webhooks'],
      status: false,
    }),
    validate,
    validateUpdate,
    allowUnconditionalUpdate: false,
    columns: webhookConfigurationColumns,
  };
