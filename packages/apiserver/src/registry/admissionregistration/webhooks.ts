/** Webhook configurations: defaults and generation. The schema tables say which fields are required. */
import { admissionregistrationv1, type Draft } from '@k8ts/api';
import { webhookConfigurationColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { generationRules } from '../strategy-parts.ts';

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
    allowUnconditionalUpdate: false,
    columns: webhookConfigurationColumns,
  };
