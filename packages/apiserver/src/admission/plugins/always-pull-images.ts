import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { aggregateText, fieldErrorText, notSupported } from '@k8ts/apimachinery';
import type { FieldError } from '@k8ts/apimachinery';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

type Containers = readonly Draft<Pick<corev1.Container, 'image' | 'imagePullPolicy'>>[];

/** Who may not pull an image may not run it either because another's pod left it on the node. */
export function alwaysPullImages(): AdmissionPlugin {
  return {
    name: 'AlwaysPullImages',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    admit(attributes) {
      if (hasNoNewImages(attributes)) return;
      const { spec } = attributes.object as Draft<corev1.Pod>;
      for (const [, containers] of containersOf(spec))
        for (const container of containers) container.imagePullPolicy = 'Always';
      for (const { image } of spec.volumes ?? []) if (image !== undefined) image.pullPolicy = 'Always';
    },

    validate(attributes) {
      if (hasNoNewImages(attributes)) return;
      const { spec } = attributes.object as Draft<corev1.Pod>;
      const errors: FieldError[] = [];
      const check = (path: string, policy: string | undefined): void => {
        if (policy !== 'Always') errors.push(notSupported(path, policy ?? '', ['Always']));
      };
      for (const [field, containers] of containersOf(spec))
        containers.forEach(({ imagePullPolicy }, i) => {
          check(`spec.${field}[${i}].imagePullPolicy`, imagePullPolicy);
        });
      (spec.volumes ?? []).forEach(({ image }, i) => {
        if (image !== undefined) check(`spec.volumes[${i}].image.pullPolicy`, image.pullPolicy);
      });
      if (errors.length > 0) throw refuse(attributes, aggregateText(errors.map(fieldErrorText)));
    },
  };
}

function containersOf(
  spec: Draft<corev1.PodSpec> | corev1.PodSpec,
): readonly (readonly [field: string, containers: Containers])[] {
  return [
    ['initContainers', spec.initContainers ?? []],
    ['containers', spec.containers as Containers],
    ['ephemeralContainers', spec.ephemeralContainers ?? []],
  ];
}

/** Pods from before the plugin was on can be changed otherwise. */
function hasNoNewImages({ object, oldObject }: AdmissionAttributes): boolean {
  if (oldObject === undefined) return false;
  const imagesOf = (pod: Draft<corev1.Pod> | corev1.Pod): string[] =>
    containersOf(pod.spec).flatMap(([, containers]) => containers.map(({ image }) => image ?? ''));
  const old = new Set(imagesOf(oldObject as corev1.Pod));
  return imagesOf(object as Draft<corev1.Pod>).every((image) => old.has(image));
}
