import { corev1 } from '@k8ts/api';
import type { KubeObject, New, ResourceType } from '@k8ts/api';
import { isDNS1123Subdomain, isNotFound } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerRef } from '@k8ts/client';

import type { ControllerContext } from './contract.ts';
import { isNamespaceTerminating } from './namespace-terminating.ts';
import { identityOf } from './object-identity.ts';
import type { ReplicaOwner } from './replicaset/plan.ts';

type Actions = Pick<ControllerContext, 'client' | 'recorder'>;

/** The pod an owner's template describes, named after the owner. */
function podFromTemplate(
  template: corev1.PodTemplateSpec,
  owner: KubeObject,
  ownerType: ResourceType<KubeObject>,
  generateName: string | undefined,
): New<corev1.Pod> {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const prefix = `${owner.metadata.name}-`;
  return {
    metadata: {
      // The dash looks better, where the name leaves room for it.
      generateName:
        generateName ?? (isDNS1123Subdomain(`${prefix}a`).length === 0 ? prefix : owner.metadata.name),
      ...(owner.metadata.namespace === undefined ? {} : { namespace: owner.metadata.namespace }),
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ownerReferences: [controllerRef(owner, ownerType)],
    },
    spec: template.spec,
  };
}

export async function createPod(
  actions: Actions,
  owner: ReplicaOwner,
  ownerType: ResourceType<KubeObject>,
): Promise<void> {
  const { template } = owner.spec;
  if (template === undefined) throw new Error('unable to create pods, no template');
  await createPodFor(actions, template, owner, ownerType);
}

/** Makes a pod for an owner and says so, or why it could not. Its name begins as `generateName`, or as the owner's. */
export async function createPodFor(
  { client, recorder }: Actions,
  template: corev1.PodTemplateSpec,
  owner: KubeObject,
  ownerType: ResourceType<KubeObject>,
  generateName?: string,
): Promise<void> {
  const about = identityOf(owner, ownerType);
  try {
    const pod = await client
      .resource(corev1.pods, owner.metadata.namespace)
      .create(podFromTemplate(template, owner, ownerType, generateName));
    recorder.event(about, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
  } catch (error) {
    if (!isNamespaceTerminating(error))
      recorder.event(about, 'Warning', 'FailedCreate', `Error creating: ${errorMessage(error)}`);
    throw error;
  }
}

/** Throws NotFound for a pod that is gone already. */
export async function deletePod(
  { client, recorder }: Actions,
  pod: corev1.Pod,
  owner: KubeObject,
  ownerType: ResourceType<KubeObject>,
): Promise<void> {
  const about = identityOf(owner, ownerType);
  const { namespace, name, uid } = pod.metadata;
  try {
    await client
      .resource(corev1.pods, namespace)
      .delete(name, uid === undefined ? {} : { preconditions: { uid } });
    recorder.event(about, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  } catch (error) {
    if (isNotFound(error)) throw error;
    recorder.event(about, 'Warning', 'FailedDelete', `Error deleting: ${errorMessage(error)}`);
    throw error;
  }
}
