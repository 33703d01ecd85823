import { corev1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { amountsOf, quotaEvaluatorOf, type QuotaEvaluator } from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';
import { QuotaCharges, type QuotaChargesOptions } from './quota-charges.ts';
import { chargedWith, measure } from './quota-request.ts';

export interface ResourceQuotaOptions extends QuotaChargesOptions {
  readonly clock: Clock;
}

/**
 * Charges what is created to the ResourceQuotas of its namespace, and refuses what exceeds them. Comes last, so that
 * nothing is charged that another plugin refuses. What is deleted is given back by the quota controller.
 */
export function resourceQuota(options: ResourceQuotaOptions): AdmissionPlugin {
  const { objects, clock } = options;
  const charges = new QuotaCharges(options);
  const evaluators = new WeakMap<ResourceType<KubeObject>, QuotaEvaluator>();
  const evaluatorOf = (resource: ResourceType<KubeObject>): QuotaEvaluator | undefined => {
    let found = evaluators.get(resource);
    if (found !== undefined) return found;
    found = quotaEvaluatorOf(resource.group, resource.resource);
    if (found !== undefined) evaluators.set(resource, found);
    return found;
  };
  return {
    name: 'ResourceQuota',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) =>
      resource.namespaced &&
      evaluatorOf(resource) !== undefined &&
      (subresource === '' ||
        (subresource === 'resize' && isResource(resource, corev1.pods)) ||
        (subresource === 'status' && isResource(resource, corev1.persistentVolumeClaims))),

    validate(attributes) {
      const { operation, resource, subresource, namespace, oldObject, dryRun } = attributes;
      const quotas = objects.list(corev1.resourceQuotas, namespace);
      if (quotas.length === 0) return;
      const evaluator = evaluatorOf(resource);
      if (evaluator === undefined || (operation !== 'CREATE' && operation !== 'UPDATE')) return;
      const object = attributes.object as KubeObject;
      if (!evaluator.handles({ operation, subresource, object, oldObject })) return;

      const request = measure(attributes, evaluator, clock.now());
      let isCharged = false;
      for (const quota of quotas)
        if (chargedWith(quota, amountsOf(quota.status?.used), request) !== undefined) isCharged = true;
      return isCharged && !dryRun ? charges.charge(request) : undefined;
    },
  };
}
