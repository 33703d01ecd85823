import { runDefinitionController } from '../custom-resources/definition-controller.ts';
import type { PostStartHook } from './contract.ts';

/** Serves custom resources, from the start those whose definitions are there already. */
export const customResourcesHook: PostStartHook = {
  name: 'crd-informer-synced',
  async run(context) {
    const { synced, done } = runDefinitionController(context);
    context.background(done);
    await synced;
  },
};
