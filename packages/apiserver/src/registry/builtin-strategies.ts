/**
 * Every built-in kind that has rules of its own. Kinds that are not listed are served by the generic registry from the
 * schema tables alone.
 */
import type { KubeObject } from '@k8ts/api';
import {
  mutatingAdmissionPolicyBindingStrategy,
  mutatingAdmissionPolicyStrategy,
  validatingAdmissionPolicyBindingStrategy,
  validatingAdmissionPolicyStrategy,
} from './admissionregistration/policies.ts';
import {
  mutatingWebhookConfigurationStrategy,
  validatingWebhookConfigurationStrategy,
} from './admissionregistration/webhooks.ts';
import { customResourceDefinitionStrategy } from './apiextensions/custom-resource-definition.ts';
import { apiServiceStrategy } from './apiregistration/api-service.ts';
import { controllerRevisionStrategy } from './apps/controller-revision.ts';
import { daemonSetStrategy } from './apps/daemon-set.ts';
import { deploymentStrategy } from './apps/deployment.ts';
import { replicaSetStrategy } from './apps/replica-set.ts';
import { statefulSetStrategy } from './apps/stateful-set.ts';
import { horizontalPodAutoscalerStrategy } from './autoscaling/horizontal-pod-autoscaler.ts';
import { cronJobStrategy } from './batch/cron-job.ts';
import { jobStrategy } from './batch/job.ts';
import { certificateSigningRequestStrategy } from './certificates/certificate-signing-request.ts';
import type { Strategy } from './contract.ts';
import { leaseStrategy } from './coordination/lease.ts';
import { componentStatusStrategy } from './core/component-status.ts';
import { configMapStrategy } from './core/config-map.ts';
import { endpointsStrategy } from './core/endpoints.ts';
import { eventStrategy } from './core/event.ts';
import { limitRangeStrategy } from './core/limit-range.ts';
import { namespaceStrategy } from './core/namespace.ts';
import { nodeStrategy } from './core/node.ts';
import { persistentVolumeClaimStrategy } from './core/persistent-volume-claim.ts';
import { persistentVolumeStrategy } from './core/persistent-volume.ts';
import { podTemplateStrategy } from './core/pod-template/strategy.ts';
import { podStrategy } from './core/pod/strategy.ts';
import { resourceQuotaStrategy } from './core/quota.ts';
import { replicationControllerStrategy } from './core/replication-controller.ts';
import { secretStrategy } from './core/secret.ts';
import { serviceAccountStrategy } from './core/service-account.ts';
import { DEFAULT_SERVICE_NETWORK, type ServiceNetwork } from './core/service/allocation.ts';
import { serviceStrategy } from './core/service/strategy.ts';
import { endpointSliceStrategy } from './discovery/endpoint-slice.ts';
import { flowSchemaStrategy, priorityLevelConfigurationStrategy } from './flowcontrol/flow-control.ts';
import { ingressClassStrategy, ingressStrategy } from './networking/ingress.ts';
import { networkPolicyStrategy } from './networking/network-policy.ts';
import { ipAddressStrategy, serviceCidrStrategy } from './networking/service-addresses.ts';
import { runtimeClassStrategy } from './node/runtime-class.ts';
import { podDisruptionBudgetStrategy } from './policy/pod-disruption-budget.ts';
import { clusterRoleBindingStrategy, roleBindingStrategy } from './rbac/role-binding.ts';
import { clusterRoleStrategy, roleStrategy } from './rbac/role.ts';
import {
  deviceClassStrategy,
  resourceClaimStrategy,
  resourceClaimTemplateStrategy,
  resourceSliceStrategy,
} from './resource/devices.ts';
import { priorityClassStrategy } from './scheduling/priority-class.ts';
import { csiDriverStrategy, csiNodeStrategy, csiStorageCapacityStrategy } from './storage/csi.ts';
import { storageClassStrategy, volumeAttributesClassStrategy } from './storage/storage-class.ts';
import { volumeAttachmentStrategy } from './storage/volume-attachment.ts';

export interface BuiltinStrategyOptions {
  /** Where cluster IPs and node ports come from; default 10.96.0.0/12 and 30000-32767. */
  readonly serviceNetwork?: ServiceNetwork;
}

/** Strategies for one API server: some keep state (the cluster IPs in use). Throws an Error for options without sense. */
export function builtinStrategies(options: BuiltinStrategyOptions = {}): readonly Strategy<KubeObject>[] {
  const { serviceNetwork = DEFAULT_SERVICE_NETWORK } = options;
  return [
    any(componentStatusStrategy),
    any(configMapStrategy),
    any(endpointsStrategy),
    any(eventStrategy),
    any(limitRangeStrategy),
    any(namespaceStrategy),
    any(nodeStrategy),
    any(persistentVolumeClaimStrategy),
    any(persistentVolumeStrategy),
    any(podStrategy),
    any(podTemplateStrategy),
    any(replicationControllerStrategy),
    any(resourceQuotaStrategy),
    any(secretStrategy),
    any(serviceAccountStrategy),
    any(serviceStrategy(serviceNetwork)),
    any(mutatingAdmissionPolicyBindingStrategy),
    any(mutatingAdmissionPolicyStrategy),
    any(mutatingWebhookConfigurationStrategy),
    any(validatingAdmissionPolicyBindingStrategy),
    any(validatingAdmissionPolicyStrategy),
    any(validatingWebhookConfigurationStrategy),
    any(customResourceDefinitionStrategy),
    any(apiServiceStrategy),
    any(controllerRevisionStrategy),
    any(daemonSetStrategy),
    any(deploymentStrategy),
    any(replicaSetStrategy),
    any(statefulSetStrategy),
    any(horizontalPodAutoscalerStrategy),
    any(cronJobStrategy),
    any(jobStrategy),
    any(certificateSigningRequestStrategy),
    any(leaseStrategy),
    any(flowSchemaStrategy),
    any(priorityLevelConfigurationStrategy),
    any(endpointSliceStrategy),
    any(ingressClassStrategy),
    any(ingressStrategy),
    any(ipAddressStrategy),
    any(networkPolicyStrategy),
    any(serviceCidrStrategy),
    any(runtimeClassStrategy),
    any(podDisruptionBudgetStrategy),
    any(priorityClassStrategy),
    any(roleStrategy),
    any(clusterRoleStrategy),
    any(roleBindingStrategy),
    any(clusterRoleBindingStrategy),
    any(deviceClassStrategy),
    any(resourceClaimStrategy),
    any(resourceClaimTemplateStrategy),
    any(resourceSliceStrategy),
    any(csiDriverStrategy),
    any(csiNodeStrategy),
    any(csiStorageCapacityStrategy),
    any(storageClassStrategy),
    any(volumeAttachmentStrategy),
    any(volumeAttributesClassStrategy),
  ];
}

/** The registry hands a strategy only objects of its own type, which the list's type cannot say. */
function any<T extends KubeObject>(strategy: Strategy<T>): Strategy<KubeObject> {
  return strategy as unknown as Strategy<KubeObject>;
}
