import { abortable, type Clock, errorMessage } from '@k8ts/base';
import type { EventRecorder, ObjectIdentity } from '@k8ts/client';
import {
  type Image,
  ImagePullError,
  type ImageService,
  normalizeReference,
  type RegistryAuth,
} from '@k8ts/cri';

import { type BackOff, createBackOff } from '../pod/back-off.ts';
import { podUid } from '../pod/pod-spec.ts';
import type { Pod } from '../pod/types.ts';
import { formatDurationMilliseconds } from '@k8ts/apimachinery';

/** Why an image is not there: the container's waiting reason and message. */
export class ImageError extends Error {
  readonly reason: string;
  /** Milliseconds until the next try may be made. */
  readonly retryAfter: number | undefined;
  constructor(reason: string, message: string, retryAfter?: number) {
    super(message);
    this.name = 'ImageError';
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

interface ImageRequest {
  readonly pod: Pod;
  /** What events are about. */
  readonly about: ObjectIdentity;
  readonly image: string;
  readonly pullPolicy: string | undefined;
  /** Looked up only when the image has to be pulled. The candidates for the image's registry, the most specific first. */
  readonly credentials: () => Promise<readonly RegistryAuth[]>;
  readonly signal: AbortSignal;
}

export interface ImageManager {
  /** Resolves to the image, pulled when its policy says so; throws `ImageError`. */
  ensure(request: ImageRequest): Promise<Image>;
  /** Forgets the back-offs of a pod. */
  forget(podUid: string): void;
}

export interface ImageManagerOptions {
  readonly clock: Clock;
  readonly images: ImageService;
  readonly events: EventRecorder;
  /** Pulls at the same time; upstream's default is no limit for parallel pulls. */
  readonly maxParallelPulls?: number;
}

const INITIAL_BACK_OFF = 10_000;
const MAXIMUM_BACK_OFF = 300_000;

/** Texts, reasons and order of events are those of pkg/kubelet/images/image_manager.go. */
export function createImageManager(options: ImageManagerOptions): ImageManager {
  const { clock, images, events } = options;
  const backOff: BackOff = createBackOff(INITIAL_BACK_OFF, MAXIMUM_BACK_OFF);
  const lastErrors = new Map<string, { reason: string; message: string }>();
  const pull = createPuller(images, options.maxParallelPulls ?? Number.POSITIVE_INFINITY);

  return {
    async ensure({ pod, about, image, pullPolicy, credentials, signal }) {
      const fail = (reason: string, message: string, retryAfter?: number): never => {
        throw new ImageError(reason, message, retryAfter);
      };
      const warn = (reason: string, message: string): void => events.event(about, 'Warning', reason, message);

      try {
        normalizeReference(image);
      } catch (error) {
        const message = `Failed to apply default image tag "${image}": ${errorMessage(error)}`;
        warn('InspectFailed', message);
        return fail('InvalidImageName', message);
      }
      let present: Image | undefined;
      try {
        present = await images.imageStatus(image);
      } catch (error) {
        const message = `Failed to inspect image "${image}": ${errorMessage(error)}`;
        warn('InspectFailed', message);
        return fail('ImageInspectError', message);
      }
      if (pullPolicy === 'Never' || (present !== undefined && pullPolicy !== 'Always')) {
        if (present !== undefined) {
          const message = `Container image "${image}" already present on machine and can be accessed by the pod`;
          events.event(about, 'Normal', 'Pulled', message);
          return present;
        }
        const message = `Container image "${image}" is not present with pull policy of Never`;
        warn('ErrImageNeverPull', message);
        return fail('ErrImageNeverPull', message);
      }

      const key = `${podUid(pod)}/${image}`;
      const wait = backOff.remainingSinceUpdate(key, clock.now());
      if (wait !== undefined) {
        const message = `Back-off pulling image "${image}"`;
        events.event(about, 'Normal', 'BackOff', message);
        const last = lastErrors.get(key);
        return fail(
          'ImagePullBackOff',
          last === undefined ? message : `${message}: ${last.reason}: ${last.message}`,
          wait,
        );
      }
      lastErrors.delete(key);

      events.event(about, 'Normal', 'Pulling', `Pulling image "${image}"`);
      const asked = clock.monotonic();
      try {
        const { pulled, began } = await pull(image, await credentials(), signal, () => clock.monotonic());
        const now = clock.monotonic();
        const size = pulled.size;
        events.event(
          about,
          'Normal',
          'Pulled',
          `Successfully pulled image "${image}" in ${formatDurationMilliseconds(now - began)} (${formatDurationMilliseconds(now - asked)} including waiting). Image size: ${size} bytes.`,
        );
        return pulled;
      } catch (error) {
        if (signal.aborted) throw error;
        const message = errorMessage(error);
        warn('Failed', `Failed to pull image "${image}": ${message}`);
        backOff.next(key, clock.now(), clock.now());
        const { reason, text } = pullFailure(image, error, message);
        lastErrors.set(key, { reason, message: text });
        return fail(reason, text);
      }
    },
    forget(uid) {
      backOff.forget(`${uid}/`);
      for (const key of lastErrors.keys()) if (key.startsWith(`${uid}/`)) lastErrors.delete(key);
    },
  };
}

function pullFailure(image: string, error: unknown, message: string): { reason: string; text: string } {
  const reason = error instanceof ImagePullError ? error.reason : 'ErrImagePull';
  switch (reason) {
    case 'RegistryUnavailable':
      return {
        reason,
        text: `image pull failed for ${image} because the registry is unavailable: ${message}`,
      };
    case 'SignatureValidationFailed':
      return {
        reason,
        text: `image pull failed for ${image} because the signature validation failed: ${message}`,
      };
    case 'InvalidImageName':
      return { reason, text: message };
    default:
      return { reason: 'ErrImagePull', text: message };
  }
}

type Pull = (
  image: string,
  credentials: readonly RegistryAuth[],
  signal: AbortSignal,
  now: () => number,
) => Promise<{ readonly pulled: Image; readonly began: number }>;

/** Pulls of the same image with the same credentials that overlap are one; at most `parallel` run, others wait their turn. */
function createPuller(images: ImageService, parallel: number): Pull {
  const running = new Map<
    string,
    { promise: Promise<Image>; abort: AbortController; waiters: number; began: number }
  >();
  const queue: (() => void)[] = [];
  let active = 0;

  const once = async (
    image: string,
    credentials: readonly RegistryAuth[],
    signal: AbortSignal,
  ): Promise<Image> => {
    let failure: unknown;
    // Anonymous only when there is nothing else; otherwise each secret's turn comes until one is accepted.
    for (const auth of credentials.length === 0 ? [undefined] : credentials) {
      try {
        const id = await images.pullImage(image, auth, signal);
        const pulled = (await images.imageStatus(image)) ?? (await images.imageStatus(id));
        if (pulled === undefined) throw new Error(`image "${image}" is not there after it was pulled`);
        return pulled;
      } catch (error) {
        failure = error;
        if (signal.aborted) break;
      }
    }
    throw failure;
  };

  return async (image, credentials, signal, now) => {
    const key = JSON.stringify([image, credentials]);
    let pull = running.get(key);
    if (pull === undefined) {
      if (active >= parallel) await new Promise<void>((resolve) => queue.push(resolve));
      pull = running.get(key);
    }
    if (pull === undefined) {
      const abort = new AbortController();
      active++;
      const promise = once(image, credentials, abort.signal).finally(() => {
        running.delete(key);
        active--;
        queue.shift()?.();
      });
      promise.catch(() => undefined); // its waiters may all be gone
      pull = { promise, abort, waiters: 0, began: now() };
      running.set(key, pull);
    }
    const current = pull;
    current.waiters++;
    const { promise } = current;
    try {
      const pulled = await abortable(promise, signal);
      return { pulled, began: current.began };
    } finally {
      // The last one who wanted it has left.
      if (--current.waiters === 0) current.abort.abort(new Error('nobody waits for the image any more'));
    }
  };
}
