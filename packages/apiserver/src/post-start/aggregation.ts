import type { AggregatedApis } from '../aggregation/aggregated-apis.ts';
import { runAggregationControllers } from '../aggregation/controllers.ts';
import type { BackendOptions } from '../aggregation/extension-server.ts';
import { runRegistration } from '../aggregation/registration.ts';
import type { PostStartHook } from './contract.ts';

export interface AggregationHookOptions {
  readonly apis: AggregatedApis;
  readonly backends: BackendOptions;
  /** Called with the TLS port once it is open. */
  readonly onListening: (port: number) => void;
}

/** APIServices of what this server serves itself, then whatever they say of other servers. */
export function aggregationHook(options: AggregationHookOptions): PostStartHook {
  return {
    name: 'kube-apiserver-autoregistration',
    async run(context) {
      const { synced, done } = runRegistration(context);
      context.background(done);
      context.listening.then(options.onListening, () => undefined); // it may never be open
      await synced;
      options.apis.refresh();
      context.background(runAggregationControllers(context, options));
    },
  };
}
