import { isDeepStrictEqual } from 'node:util';

import { corev1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { disruptionTarget, patchPodStatus } from '../pod-conditions.ts';
import { BY_NODE, podsInformer } from '../pod-indexes.ts';
import { isPodTerminating } from '../pod-state.ts';
import { nodeLifecycleController } from './controller.ts';
import { tolerationSeconds } from './tolerations.ts';

interface Eviction {
  readonly uid: string;
  readonly since: number;
  readonly due: number;
}

/** Deletes the pods of nodes with NoExecute taints: at once, or after the time that their tolerations grant. */
export const taintEvictionController: ControllerDefinition = {
  name: 'taint-eviction-controller',
  account: 'node-controller',
  permissions: nodeLifecycleController.permissions,
  queue: 'noexec_taint_pod',
  workers: 8,
  maxRetries: undefined,
  eventSource: 'taint-eviction-controller',
  create: createTaintEviction,
};

function createTaintEviction({ client, informers, queue, recorder, clock }: ControllerContext): Controller {
  const pods = podsInformer(informers);
  const nodes = informers.of(corev1.nodes);
  const scheduled = new Map<string, Eviction>();

  const enqueue = (pod: corev1.Pod): void => queue.add(objectKey(pod));
  pods.addHandler({
    added: (pod) => {
      if (pod.spec.nodeName) enqueue(pod);
    },
    updated: (pod, previous) => {
      const same =
        pod.spec.nodeName === previous.spec.nodeName &&
        isDeepStrictEqual(pod.spec.tolerations, previous.spec.tolerations);
      if (!same) enqueue(pod);
    },
    deleted: (pod) => {
      if (scheduled.has(objectKey(pod))) enqueue(pod);
    },
  });
  const enqueuePods = ({ metadata }: corev1.Node): void => {
    for (const pod of pods.lister.byIndex(BY_NODE, metadata.name)) enqueue(pod);
  };
  nodes.addHandler({
    added: (node) => {
      if (noExecute(node).length > 0) enqueuePods(node);
    },
    updated: (node, previous) => {
      if (!isDeepStrictEqual(noExecute(node), noExecute(previous))) enqueuePods(node);
    },
  });

  const event = (key: string, text: string): void => {
    const [namespace = '', name = ''] = key.split('/');
    const about = { apiVersion: 'v1', kind: 'Pod', namespace, name };
    recorder.event(about, 'Normal', 'TaintManagerEviction', `${text} Pod ${key}`);
  };
  const cancel = (key: string): void => {
    if (scheduled.delete(key)) event(key, 'Cancelling deletion of');
  };
  const evict = async (pod: corev1.Pod): Promise<void> => {
    const { namespace, name, uid } = pod.metadata;
    event(objectKey(pod), 'Marking for deletion');
    try {
      const condition = disruptionTarget(
        'DeletionByTaintManager',
        'Taint manager: deleting due to NoExecute taint',
      );
      await patchPodStatus(client, pod, { condition }, clock.now());
      await client
        .resource(corev1.pods, namespace)
        .delete(name, uid === undefined ? {} : { preconditions: { uid } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };

  return {
    reconcile: async (key) => {
      const pod = pods.lister.byKey(key);
      const node = nodes.lister.byKey(pod?.spec.nodeName ?? '');
      if (pod === undefined || isPodTerminating(pod)) {
        scheduled.delete(key);
        return;
      }
      const taints = node === undefined ? [] : noExecute(node);
      const seconds = taints.length === 0 ? Infinity : tolerationSeconds(taints, pod.spec.tolerations ?? []);
      if (seconds === Infinity) {
        cancel(key);
        return;
      }
      const now = clock.now();
      const { uid = '' } = pod.metadata;
      const before = scheduled.get(key);
      const since = before?.uid === uid ? before.since : now;
      const due = since + seconds * 1000;
      if (seconds === 0 || now >= due) {
        await evict(pod);
        scheduled.delete(key);
        return;
      }
      scheduled.set(key, { uid, since, due });
      queue.addAfter(key, due - now);
    },
  };
}

function noExecute({ spec }: corev1.Node): readonly corev1.Taint[] {
  return (spec.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
}
