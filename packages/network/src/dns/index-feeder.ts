import { corev1, discoveryv1 } from '@k8ts/api';
import { errorMessage } from '@k8ts/base';
import type { Clock, Logger } from '@k8ts/base';
import type { InformerFactory } from '@k8ts/client';

import type { RecordIndex } from './record-index.ts';
import { serviceRecords } from './service-records.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';
const SLICES_BY_SERVICE = 'network.service';

/** Services brought up to date before other work gets its turn. */
const SERVICES_PER_TURN = 200;

/**
 * Keeps the index as the cluster is. A Service whose slices change many times in one turn is done once; what changed is in
 * the index in the next turn of the event loop.
 */
export class IndexFeeder implements Disposable {
  readonly #index: RecordIndex;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #informers: InformerFactory;
  readonly #changed = new Set<string>();
  readonly #handlers: Disposable[];
  #feeding: Promise<void> | undefined;
  #disposed = false;

  constructor(index: RecordIndex, informers: InformerFactory, clock: Clock, logger: Logger) {
    this.#index = index;
    this.#clock = clock;
    this.#logger = logger;
    this.#informers = informers;
    const slices = informers.of(discoveryv1.endpointSlices);
    slices.addIndex(SLICES_BY_SERVICE, (slice) => keysOf(slice));
    const serviceChanged = ({ metadata }: corev1.Service): void =>
      this.#mark(`${metadata.namespace}/${metadata.name}`);
    const sliceChanged = (slice: discoveryv1.EndpointSlice): void =>
      keysOf(slice).forEach((key) => this.#mark(key));
    this.#handlers = [
      informers
        .of(corev1.services)
        .addHandler({ added: serviceChanged, updated: serviceChanged, deleted: serviceChanged }),
      slices.addHandler({
        added: sliceChanged,
        updated: (slice, previous) => {
          sliceChanged(slice);
          sliceChanged(previous);
        },
        deleted: sliceChanged,
      }),
      informers.of(corev1.namespaces).addHandler({
        added: ({ metadata }) => index.addNamespace(metadata.name ?? ''),
        deleted: ({ metadata }) => index.removeNamespace(metadata.name ?? ''),
      }),
    ];
  }

  /** Resolves when the index has all that the cluster had when it was first listed. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#informers.of(corev1.services).waitForSync(signal),
      this.#informers.of(discoveryv1.endpointSlices).waitForSync(signal),
      this.#informers.of(corev1.namespaces).waitForSync(signal),
    ]);
    await this.#feeding;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const handler of this.#handlers) handler[Symbol.dispose]();
  }

  #mark(key: string): void {
    this.#changed.add(key);
    this.#feeding ??= this.#feed();
  }

  async #feed(): Promise<void> {
    const services = this.#informers.of(corev1.services).lister;
    const slices = this.#informers.of(discoveryv1.endpointSlices).lister;
    while (this.#changed.size > 0 && !this.#disposed) {
      await this.#clock.yield();
      let count = 0;
      for (const key of this.#changed) {
        this.#changed.delete(key);
        this.#update(key, services.byKey(key), slices.byIndex(SLICES_BY_SERVICE, key));
        if (++count === SERVICES_PER_TURN) break;
      }
    }
    this.#feeding = undefined; // in the same turn as the last look at what changed
  }

  /** A Service that makes no sense must not keep the others from being known. */
  #update(
    key: string,
    service: corev1.Service | undefined,
    slices: readonly discoveryv1.EndpointSlice[],
  ): void {
    try {
      this.#index.setService(key, service && serviceRecords(service, slices, this.#index.zone));
    } catch (error) {
      this.#logger.error('cannot make the records of a Service', {
        service: key,
        error: errorMessage(error),
      });
    }
  }
}

function keysOf({ metadata }: discoveryv1.EndpointSlice): readonly string[] {
  const name = metadata.labels?.[SERVICE_NAME] ?? '';
  return name === '' ? [] : [`${metadata.namespace}/${name}`];
}
