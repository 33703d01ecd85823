import { networkingv1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';
import { defaultClass } from './default-class.ts';

const OLD_CLASS = 'kubernetes.io/ingress.class';

/** An Ingress that says nothing of its class gets the default one. */
export function defaultIngressClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DefaultIngressClass',
    operations: ['CREATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, networkingv1.ingresses),

    admit({ object }) {
      const ingress = object as Draft<networkingv1.Ingress>;
      if (ingress.spec?.ingressClassName !== undefined) return;
      if (ingress.metadata.annotations?.[OLD_CLASS] !== undefined) return;
      const found = defaultClass(
        objects.list(networkingv1.ingressClasses),
        'ingressclass.kubernetes.io/is-default-class',
      );
      if (found?.metadata.name !== undefined) (ingress.spec ??= {}).ingressClassName = found.metadata.name;
    },
  };
}
