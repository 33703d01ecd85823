import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { notFound } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

const ANNOTATION = 'scheduler.alpha.kubernetes.io/node-selector';

/** A namespace's pods run only on the nodes that its annotation says: `zone=a,disk=fast`. */
export function podNodeSelector(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PodNodeSelector',
    operations: ['CREATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    admit(attributes) {
      const selector = selectorOf(attributes, objects);
      const { spec } = attributes.object as Draft<corev1.Pod>;
      refuseConflict(attributes, selector);
      if (Object.keys(selector).length > 0) spec.nodeSelector = { ...selector, ...spec.nodeSelector };
    },

    validate(attributes) {
      refuseConflict(attributes, selectorOf(attributes, objects));
    },
  };
}

function refuseConflict(attributes: AdmissionAttributes, selector: Readonly<Record<string, string>>): void {
  const { nodeSelector = {} } = (attributes.object as Draft<corev1.Pod>).spec;
  const isOther = ([key, value]: [string, string]): boolean =>
    Object.hasOwn(nodeSelector, key) && nodeSelector[key] !== value;
  if (Object.entries(selector).some(isOther))
    throw refuse(attributes, 'pod node label selector conflicts with its namespace node label selector');
}

function selectorOf(attributes: AdmissionAttributes, objects: ObjectReader): Record<string, string> {
  const namespace = objects.get(corev1.namespaces, '', attributes.namespace);
  if (namespace === undefined) throw notFound(corev1.namespaces, attributes.namespace);
  const text = namespace.metadata.annotations?.[ANNOTATION] ?? '';
  if (text === '') return {};
  const selector: Record<string, string> = {};
  for (const part of text.split(',')) {
    const words = part.split('=');
    const [key, value] = words;
    if (words.length !== 2 || key === undefined || value === undefined)
      throw new Error(`invalid selector: [${words.join(' ')}]`);
    selector[key.trim()] = value.trim();
  }
  return selector;
}
