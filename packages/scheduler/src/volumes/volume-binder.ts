import { corev1, storagev1 } from '@k8ts/api';
import { claimNameOf, isFullyBound, isReachableFrom, promisedTo, SELECTED_NODE } from '@k8ts/apimachinery';
import { sleep } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import { objectKey } from '@k8ts/client';
import type { Client, InformerFactory } from '@k8ts/client';
import { claimKeysOf } from '../cluster-state/pod-info.ts';
import type { VolumeJudgement, VolumeLookup } from '../cluster-state/volumes.ts';
import { AssumedObjects, versionOf } from './assumed-objects.ts';
import { claimsOf, isPodVolumes, volumesOn } from './pod-volumes.ts';
import type { PodVolumes, VolumeSource } from './pod-volumes.ts';

type Claim = corev1.PersistentVolumeClaim;
type Volume = corev1.PersistentVolume;

/** Milliseconds (VolumeBindingArgs.bindTimeoutSeconds). */
const BIND_TIMEOUT = 600_000;

export interface VolumeBinderOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  /** Something changed that may help pods; of a claim, only those that use it. */
  readonly onChange: (whom?: (pod: corev1.Pod) => boolean) => void;
}

/** What was decided for a pod's claims and is not written yet. */
export interface VolumeReservation {
  /** Writes it and waits until all claims are bound. Rejects in upstream's words when the pod needs another try. */
  bind(isWanted: () => boolean, signal: AbortSignal): Promise<void>;
  /** Takes back what is not written. */
  release(): void;
}

/** What the scheduler knows of volumes, and does about them (pkg/scheduler/framework/plugins/volumebinding/binder.go). */
export class VolumeBinder implements VolumeLookup, VolumeSource {
  readonly #options: VolumeBinderOptions;
  readonly #claims: AssumedObjects<Claim>;
  readonly #volumes: AssumedObjects<Volume>;
  readonly #classes;
  /** Counts what changes answers. */
  #generation = 0;
  readonly #waiters = new Set<() => void>();

  constructor(options: VolumeBinderOptions) {
    this.#options = options;
    const { informers } = options;
    const claims = informers.of(corev1.persistentVolumeClaims);
    const volumes = informers.of(corev1.persistentVolumes);
    this.#claims = new AssumedObjects(claims);
    this.#volumes = new AssumedObjects(volumes);
    this.#classes = informers.of(storagev1.storageClasses);

    const ofClaim = (claim: Claim): void => {
      this.#claims.observe(claim);
      this.#changed((pod) => usesClaim(pod, claim));
    };
    const ofVolume = (volume: Volume): void => {
      this.#volumes.observe(volume);
      this.#changed();
    };
    claims.addHandler({
      added: ofClaim,
      updated: ofClaim,
      deleted: (claim) => {
        this.#claims.forget(claim);
        this.#changed((pod) => usesClaim(pod, claim));
      },
    });
    volumes.addHandler({
      added: ofVolume,
      updated: ofVolume,
      deleted: (volume) => {
        this.#volumes.forget(volume);
        this.#changed();
      },
    });
    const ofClass = (): void => this.#changed();
    this.#classes.addHandler({ added: ofClass, updated: ofClass, deleted: ofClass });
  }

  claim(key: string): Claim | undefined {
    return this.#claims.get(key);
  }

  volume(name: string): Volume | undefined {
    return this.#volumes.get(name);
  }

  volumes(): readonly Volume[] {
    return this.#volumes.list();
  }

  storageClass(name: string): storagev1.StorageClass | undefined {
    return this.#classes.lister.byKey(name);
  }

  keyOf(pod: corev1.Pod): unknown {
    const volumes = pod.spec.volumes ?? [];
    const names = volumes.flatMap((volume) => {
      const name = claimNameOf(pod, volume);
      // Whose claim an ephemeral volume's is, is a matter of the pod itself.
      return name === undefined
        ? []
        : [volume.ephemeral === undefined ? name : `${name} ${pod.metadata.uid ?? ''}`];
    });
    return names.length === 0 ? undefined : [pod.metadata.namespace, names, this.#generation];
  }

  onePodClaims(pod: corev1.Pod): readonly string[] {
    return claimKeysOf(pod).filter(
      (key) => this.claim(key)?.spec.accessModes?.includes('ReadWriteOncePod') === true,
    );
  }

  judge(pod: corev1.Pod): VolumeJudgement {
    const claims = claimsOf(pod, this);
    if (typeof claims === 'string') return { refusal: claims };
    return {
      filter: (node) => {
        const found = volumesOn(node, claims, this);
        return isPodVolumes(found) ? undefined : found;
      },
    };
  }

  /** Right after the pod was given the node: what it gets there is promised to it. Undefined: nothing is to be done. */
  reserve(pod: corev1.Pod, node: corev1.Node): VolumeReservation | undefined {
    if (this.keyOf(pod) === undefined) return undefined;
    const claims = claimsOf(pod, this);
    if (typeof claims === 'string' || claims.waiting.length === 0) return undefined;
    const found = volumesOn(node, claims, this);
    if (!isPodVolumes(found)) return undefined;
    const decided = assumed(found, node.metadata.name);
    for (const volume of decided.volumes) this.#volumes.assume(volume);
    for (const claim of decided.provisions) this.#claims.assume(claim);
    this.#generation++;
    const release = (): void => {
      for (const volume of decided.volumes) this.#volumes.restore(volume);
      for (const claim of decided.provisions) this.#claims.restore(claim);
      this.#generation++;
    };
    return {
      release,
      bind: async (isWanted, signal) => {
        try {
          await this.#write(decided, signal);
          await this.#bound(decided, node, isWanted, signal);
        } finally {
          release();
        }
      },
    };
  }

  async #write({ volumes, provisions }: Decision, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    for (const [index, volume] of volumes.entries())
      volumes[index] = await client.resource(corev1.persistentVolumes).update(volume, { signal });
    for (const [index, claim] of provisions.entries()) {
      const api = client.resource(corev1.persistentVolumeClaims, claim.metadata.namespace);
      provisions[index] = await api.update(claim, { signal });
    }
  }

  async #bound(
    decision: Decision,
    node: corev1.Node,
    isWanted: () => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + BIND_TIMEOUT;
    while (!this.#isDone(decision, node)) {
      if (!isWanted()) throw new PodGoneError('pod does not exist any more');
      if (clock.monotonic() >= deadline) throw new Error('binding volumes: context deadline exceeded');
      await this.#change(signal);
    }
  }

  /** As the API has it: what is only assumed does not count. Throws when the pod needs another try. */
  #isDone({ volumes, claims, provisions }: Decision, node: corev1.Node): boolean {
    for (const written of volumes) {
      const { name } = written.metadata;
      const volume = this.#volumes.observed(name);
      if (volume === undefined)
        throw new Error(
          `binding volumes: failed to check binding: could not find v1.PersistentVolume "${name}"`,
        );
      if (versionOf(volume) < versionOf(written)) return false;
      if ((volume.spec?.claimRef?.uid ?? '') === '')
        throw new Error(`binding volumes: ClaimRef got reset for pv "${name}"`);
    }
    for (const written of provisions) {
      const key = objectKey(written);
      const claim = this.#claims.observed(key);
      if (claim === undefined)
        throw new Error(
          `binding volumes: failed to check provisioning pvc: could not find v1.PersistentVolumeClaim "${key}"`,
        );
      if (versionOf(claim) < versionOf(written)) return false;
      if (claim.metadata.annotations?.[SELECTED_NODE] !== node.metadata.name)
        throw new Error(`binding volumes: provisioning failed for PVC "${claim.metadata.name}"`);
    }
    return claims.every((each) => {
      const claim = this.#claims.observed(objectKey(each));
      if (claim === undefined || claim.metadata.uid !== each.metadata.uid)
        throw new Error(
          `binding volumes: failed to check binding: could not find v1.PersistentVolumeClaim "${objectKey(each)}"`,
        );
      if (!isFullyBound(claim)) return false;
      const volume = this.#volumes.observed(claim.spec.volumeName ?? '');
      if (volume === undefined) return false;
      if (!isReachableFrom(volume, node))
        throw new Error(
          `binding volumes: pv "${volume.metadata.name}" node affinity doesn't match node "${node.metadata.name}": no matching NodeSelectorTerms`,
        );
      return true;
    });
  }

  /** Until something changes; a second at most, since pods come and go unseen here. */
  async #change(signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const wake = (): void => done.abort();
    this.#waiters.add(wake);
    try {
      await sleep(this.#options.clock, 1000, AbortSignal.any([signal, done.signal])).catch(() => undefined);
      signal.throwIfAborted();
    } finally {
      this.#waiters.delete(wake);
    }
  }

  #changed(whom?: (pod: corev1.Pod) => boolean): void {
    this.#generation++;
    for (const wake of this.#waiters) wake();
    this.#options.onChange(whom);
  }
}

/** Nobody waits for the outcome. */
export class PodGoneError extends Error {}

interface Decision {
  readonly claims: readonly Claim[];
  readonly volumes: Volume[];
  readonly provisions: Claim[];
}

function assumed({ matches, provisions }: PodVolumes, node: string): Decision {
  return {
    claims: [...matches.map(({ claim }) => claim), ...provisions],
    volumes: matches.map(({ claim, volume }) => promisedTo(volume, claim)),
    provisions: provisions.map((claim) => ({
      ...claim,
      metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, [SELECTED_NODE]: node } },
    })),
  };
}

function usesClaim(pod: corev1.Pod, { metadata }: Claim): boolean {
  return (
    pod.metadata.namespace === metadata.namespace &&
    (pod.spec.volumes ?? []).some((volume) => claimNameOf(pod, volume) === metadata.name)
  );
}
