import { createWebhookClient } from '../admission/webhooks/webhook-client.ts';
import { runDefinitionController } from '../custom-resources/definition-controller.ts';
import type { PostStartHook } from './contract.ts';

/** Serves custom resources, from the start those whose definitions are there already. */
export const customResourcesHook: PostStartHook = {
  name: 'crd-informer-synced',
  async run(context) {
    const client = createWebhookClient(context.objects);
    context.signal.addEventListener('abort', () => client.close(), { once: true });
    const { synced, done } = runDefinitionController({
      ...context,
      conversion: { client, metrics: context.metrics },
    });
    context.background(done);
    await synced;
  },
};
