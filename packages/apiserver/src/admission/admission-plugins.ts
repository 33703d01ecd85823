import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Authorizer } from '../authorization/contract.ts';
import type { RbacAuthorizer } from '../authorization/rbac/rbac-authorizer.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { RegistryAccess } from '../registry/special-subresources.ts';
import { createAuthorize } from '../steps/authorize.ts';
import type { AdmissionConfigurations } from './configuration/read-configuration.ts';
import type { AdmissionPlugin } from './contract.ts';
import { selectPlugins, type AdmissionPluginSelection } from './plugin-selection.ts';
import { eventRateLimit, eventRateLimitConfiguration } from './plugins/event-rate-limit.ts';
import { podSecurityConfiguration } from './plugins/pod-security/configuration.ts';
import type { WebhookClient } from './webhooks/webhook-client.ts';
import { alwaysAdmit, alwaysDeny } from './plugins/always-admit-and-deny.ts';
import { alwaysPullImages } from './plugins/always-pull-images.ts';
import { certificateApproval } from './plugins/certificate-approval.ts';
import { certificateSigning } from './plugins/certificate-signing.ts';
import { certificateSubjectRestriction } from './plugins/certificate-subject-restriction.ts';
import { clusterTrustBundleAttest } from './plugins/cluster-trust-bundle-attest.ts';
import { defaultIngressClass } from './plugins/default-ingress-class.ts';
import { defaultStorageClass } from './plugins/default-storage-class.ts';
import { defaultTolerationSeconds } from './plugins/default-toleration-seconds.ts';
import { denyServiceExternalIps } from './plugins/deny-service-external-ips.ts';
import { extendedResourceToleration } from './plugins/extended-resource-toleration.ts';
import { limitPodHardAntiAffinityTopology } from './plugins/limit-pod-hard-anti-affinity-topology.ts';
import { limitRanger } from './plugins/limit-ranger.ts';
import { namespaceAutoProvision } from './plugins/namespace-auto-provision.ts';
import { namespaceExists } from './plugins/namespace-exists.ts';
import { namespaceLifecycle } from './plugins/namespace-lifecycle.ts';
import { nodeRestriction } from './plugins/node-restriction.ts';
import { ownerReferencesPermissionEnforcement } from './plugins/owner-references-permission-enforcement.ts';
import { persistentVolumeClaimResize } from './plugins/persistent-volume-claim-resize.ts';
import { podNodeSelector } from './plugins/pod-node-selector.ts';
import { podSecurity } from './plugins/pod-security/pod-security.ts';
import { podTolerationRestriction } from './plugins/pod-toleration-restriction.ts';
import { podTopologyLabels } from './plugins/pod-topology-labels.ts';
import { priority } from './plugins/priority.ts';
import { rbacEscalation } from './plugins/rbac-escalation.ts';
import { runtimeClass } from './plugins/runtime-class.ts';
import { serviceAccount } from './plugins/service-account.ts';
import { storageObjectInUseProtection } from './plugins/storage-object-in-use-protection.ts';
import { taintNodesByCondition } from './plugins/taint-nodes-by-condition.ts';
import { mutatingAdmissionPolicy } from './policies/mutating-admission-policy.ts';
import { validatingAdmissionPolicy } from './policies/validating-admission-policy.ts';
import { resourceQuota } from './resource-quota/resource-quota.ts';
import { mutatingWebhooks, validatingWebhooks } from './webhooks/webhooks.ts';

export interface AdmissionServices {
  readonly objects: ObjectReader;
  readonly registry: () => Promise<RegistryAccess>;
  readonly authorizers: readonly Authorizer[];
  readonly rbac: RbacAuthorizer;
  readonly webhookClient: WebhookClient;
  readonly configurations: AdmissionConfigurations;
  readonly selection: AdmissionPluginSelection;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * The plugins that are on, in their order. Throws AdmissionPluginError for names that are not known, ConfigurationError for a
 * configuration that a plugin cannot use.
 */
export function admissionPlugins(services: AdmissionServices): readonly AdmissionPlugin[] {
  const { objects, registry, authorizers, rbac, configurations, selection } = services;
  const { clock, random, logger, metrics, webhookClient: client } = services;
  const authorize = createAuthorize(authorizers);
  const webhooks = { objects, client, logger, authorize };
  return selectPlugins(
    [
      rbacEscalation({ objects, rbac, authorizers }),
      alwaysAdmit(),
      namespaceAutoProvision({ objects, registry }),
      namespaceLifecycle(objects),
      namespaceExists(objects),
      limitPodHardAntiAffinityTopology(),
      limitRanger(objects),
      serviceAccount(objects, random),
      nodeRestriction(objects),
      taintNodesByCondition(),
      alwaysPullImages(),
      podSecurity({
        objects,
        metrics,
        configuration: podSecurityConfiguration(configurations.get('PodSecurity')),
      }),
      podNodeSelector(objects),
      priority(objects),
      defaultTolerationSeconds(),
      podTolerationRestriction(objects),
      ...(selection.enable?.includes('EventRateLimit') === true
        ? [eventRateLimit(eventRateLimitConfiguration(configurations.get('EventRateLimit')), clock)]
        : []),
      extendedResourceToleration(),
      defaultStorageClass(objects),
      storageObjectInUseProtection(),
      ownerReferencesPermissionEnforcement({ objects, authorizers }),
      persistentVolumeClaimResize(objects),
      runtimeClass(objects),
      certificateApproval(authorizers),
      certificateSigning(authorizers),
      clusterTrustBundleAttest(authorizers),
      certificateSubjectRestriction(),
      defaultIngressClass(objects),
      denyServiceExternalIps(),
      podTopologyLabels(objects),
      mutatingAdmissionPolicy({ objects, authorize }),
      mutatingWebhooks(webhooks),
      validatingAdmissionPolicy({ objects, authorize }),
      validatingWebhooks(webhooks),
      resourceQuota({ objects, registry, clock }),
      alwaysDeny(),
    ],
    selection,
  );
}
