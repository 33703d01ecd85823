import type { ApiGroupVersion } from '@k8ts/api';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Transport } from '@k8ts/client';
import type { CustomResources } from '../custom-resources/definition-controller.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { RegistryAccess } from '../registry/special-subresources.ts';

/** What a server sees to once it answers: that objects are there without which a cluster is none. */
export interface PostStartHook {
  /** `/readyz/poststarthook/<name>` */
  readonly name: string;
  /** Must find out itself what is already there: it runs at every start. */
  run(context: PostStartContext): Promise<void>;
}

export interface PostStartContext {
  readonly registry: RegistryAccess;
  readonly customResources: CustomResources;
  readonly objects: ObjectReader;
  readonly metrics: Metrics;
  /** What is built in of what is served. */
  readonly groupVersions: readonly ApiGroupVersion[];
  /** As the server itself. */
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Resolves with the TLS port once it is open; never, where none is opened. */
  readonly listening: Promise<number>;
  /** Goes on in the background after the hook has finished; what it throws before `signal` aborts is logged. */
  background(work: Promise<void>): void;
}
