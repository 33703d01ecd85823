import {
  admissionregistrationv1,
  appsv1,
  batchv1,
  discoveryv1,
  flowcontrolv1,
  networkingv1,
  nodev1,
  policyv1,
  resourcev1,
  schedulingv1,
  storagev1,
  type KubeObject,
} from '@k8ts/api';
import { describe, it } from 'vitest';

import { checkApiOperations, type Operations } from './api-operations.ts';
import { podTemplate, useSuite } from './support.ts';

const condition = {
  type: 'StatusUpdate',
  status: 'True',
  reason: 'E2E',
  message: 'Set by a test',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
const rule = { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] };
const selectorTerms = [
  { matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] },
] satisfies Readonly<Record<string, unknown>>[];

/** Kinds whose conformance test asks for the life of an object by the API and nothing more. */
describe('API operations of every kind', () => {
  const suite = useSuite({ nodes: 0 });
  const check = <T extends KubeObject>(operations: Operations<T>): Promise<void> =>
    checkApiOperations(suite, operations);

  it('[sig-network] EndpointSlice should support creating EndpointSlice API operations [Conformance]', () =>
    check({
      type: discoveryv1.endpointSlices,
      example: () => ({
        addressType: 'IPv4',
        endpoints: [{ addresses: ['1.2.3.4', '5.6.7.8'] }],
        ports: [{ name: 'http', port: 80 }],
      }),
    }));

  it('[sig-network] Ingress API should support creating Ingress API operations [Conformance]', () =>
    check({
      type: networkingv1.ingresses,
      example: () => ({
        spec: { defaultBackend: { service: { name: 'default-backend', port: { number: 80 } } } },
      }),
      status: { loadBalancer: { ingress: [{ ip: '169.1.1.1' }] } },
    }));

  it('[sig-network] IngressClass API should support creating IngressClass API operations [Conformance]', () =>
    check({
      type: networkingv1.ingressClasses,
      example: () => ({ spec: { controller: 'example.org/controller' } }),
    }));

  it('[sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]', () =>
    check({
      type: networkingv1.ipAddresses,
      names: (index) => `192.168.0.${index + 1}`,
      example: () => ({
        spec: { parentRef: { resource: 'services', name: 'example', namespace: 'default' } },
      }),
    }));

  it('[sig-node] RuntimeClass should support RuntimeClasses API operations [Conformance]', () =>
    check({ type: nodev1.runtimeClasses, example: () => ({ handler: 'example' }) }));

  it('[sig-api-machinery] API priority and fairness should support FlowSchema API operations [Conformance]', () =>
    check({
      type: flowcontrolv1.flowSchemas,
      example: () => ({
        spec: {
          matchingPrecedence: 10_000,
          priorityLevelConfiguration: { name: 'global-default' },
          rules: [
            {
              subjects: [{ kind: 'User', user: { name: 'example-e2e-non-existent' } }],
              nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
            },
          ],
        },
      }),
      status: { conditions: [condition] },
      statusTakesMetadata: false,
    }));

  it('[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations [Conformance]', () =>
    check({
      type: flowcontrolv1.priorityLevelConfigurations,
      example: () => ({
        spec: {
          type: 'Limited',
          limited: { nominalConcurrencyShares: 2, limitResponse: { type: 'Reject' } },
        },
      }),
      status: { conditions: [condition] },
      statusTakesMetadata: false,
    }));

  it('[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations [Conformance]', () =>
    check({
      type: admissionregistrationv1.validatingAdmissionPolicies,
      example: () => ({
        spec: {
          matchConstraints: { resourceRules: [rule] },
          validations: [{ expression: 'object.spec.replicas <= 100' }],
        },
      }),
      status: { conditions: [condition] },
      statusTakesMetadata: false,
    }));

  it('[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicyBinding API operations [Conformance]', () =>
    check({
      type: admissionregistrationv1.validatingAdmissionPolicyBindings,
      example: () => ({ spec: { policyName: 'replicalimit', validationActions: ['Deny'] } }),
    }));

  it('[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicy API operations [Conformance]', () =>
    check({
      type: admissionregistrationv1.mutatingAdmissionPolicies,
      example: () => ({
        spec: {
          matchConstraints: { resourceRules: [rule] },
          reinvocationPolicy: 'Never',
          mutations: [
            {
              patchType: 'ApplyConfiguration',
              applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: {"a": "b"}}}' },
            },
          ],
        },
      }),
    }));

  it('[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicyBinding API operations [Conformance]', () =>
    check({
      type: admissionregistrationv1.mutatingAdmissionPolicyBindings,
      example: () => ({ spec: { policyName: 'mutating' } }),
    }));

  it('[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision [Conformance]', () =>
    check({
      type: appsv1.controllerRevisions,
      example: (index) => ({ revision: index + 1, data: { a: index } }),
    }));

  it('[sig-apps] CronJob should support CronJob API operations [Conformance]', () =>
    check({
      type: batchv1.cronJobs,
      example: () => ({
        spec: {
          // Nothing is due while the test runs, or its controller would write the status too.
          schedule: '0 0 1 1 ?',
          jobTemplate: { spec: { template: podTemplate({ spec: { restartPolicy: 'OnFailure' } }) } },
        },
      }),
      status: { lastScheduleTime: new Date().toISOString().replace(/\.\d+/, '') },
    }));

  it('[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets [Conformance]', () =>
    check({
      type: policyv1.podDisruptionBudgets,
      example: () => ({ spec: { minAvailable: 1, selector: { matchLabels: { foo: 'bar' } } } }),
    }));

  it('[sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods [Conformance]', () =>
    check({ type: schedulingv1.priorityClasses, example: (index) => ({ value: index + 1 }) }));

  it('[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]', () =>
    check({
      type: storagev1.csiDrivers,
      example: () => ({ spec: { volumeLifecycleModes: ['Ephemeral'] } }),
    }));

  it('[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode [Conformance]', () =>
    check({
      type: storagev1.csiNodes,
      example: () => ({ spec: { drivers: [{ name: 'example.org', nodeID: 'node' }] } }),
    }));

  it('[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations [Conformance]', () =>
    check({
      type: storagev1.csiStorageCapacities,
      example: () => ({
        storageClassName: 'example',
        capacity: '1Gi',
        nodeTopology: { matchLabels: { a: 'b' } },
      }),
    }));

  it('[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass [Conformance]', () =>
    check({ type: storagev1.storageClasses, example: () => ({ provisioner: 'example.org/provisioner' }) }));

  const attachment = (): Readonly<Record<string, unknown>> => ({
    spec: { attacher: 'example.org', nodeName: 'node', source: { persistentVolumeName: 'volume' } },
  });
  it('[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment [Conformance]', () =>
    check({ type: storagev1.volumeAttachments, example: attachment }));

  it('[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status [Conformance]', () =>
    check({
      type: storagev1.volumeAttachments,
      example: attachment,
      status: { attached: true },
      statusTakesMetadata: false,
    }));

  it('[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass [Conformance]', () =>
    check({
      type: storagev1.volumeAttributesClasses,
      example: () => ({ driverName: 'example.org', parameters: { iops: '100' } }),
    }));

  it('[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass [Conformance]', () =>
    check({
      type: resourcev1.deviceClasses,
      example: () => ({ spec: { selectors: [{ cel: { expression: 'device.driver == "example.org"' } }] } }),
    }));

  const claimSpec = { devices: { requests: [{ name: 'one', exactly: { deviceClassName: 'class' } }] } };
  it('[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim [Conformance]', () =>
    check({ type: resourcev1.resourceClaims, example: () => ({ spec: claimSpec }) }));

  it('[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate [Conformance]', () =>
    check({ type: resourcev1.resourceClaimTemplates, example: () => ({ spec: { spec: claimSpec } }) }));

  it('[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice [Conformance]', () =>
    check({
      type: resourcev1.resourceSlices,
      example: (index) => ({
        spec: {
          driver: 'example.org',
          pool: { name: `pool-${index}`, generation: 1, resourceSliceCount: 1 },
          nodeSelector: { nodeSelectorTerms: selectorTerms },
        },
      }),
    }));
});
