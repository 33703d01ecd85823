import { clusterRoleAggregationController } from './clusterrole-aggregation-controller.ts';
import type { ControllerDefinition } from './contract.ts';
import { cronJobController } from './cronjob/controller.ts';
import { daemonSetController } from './daemonset/controller.ts';
import { deploymentController } from './deployment/controller.ts';
import { disruptionController } from './disruption/controller.ts';
import { endpointSliceMirroringController } from './endpointslice-mirroring/controller.ts';
import { endpointsController } from './endpoints/controller.ts';
import { endpointSliceController } from './endpointslice/controller.ts';
import { garbageCollectorController } from './garbage-collector/controller.ts';
import { jobController } from './job/controller.ts';
import { namespaceController } from './namespace/controller.ts';
import { nodeLifecycleController } from './node-lifecycle/controller.ts';
import { taintEvictionController } from './node-lifecycle/taint-eviction-controller.ts';
import { persistentVolumeBinderController } from './persistent-volume/controller.ts';
import { ephemeralVolumeController } from './persistent-volume/ephemeral-volume-controller.ts';
import { expandController } from './persistent-volume/expand-controller.ts';
import { podGCController } from './pod-gc-controller.ts';
import { replicaSetController, replicationController } from './replicaset/controller.ts';
import { resourceQuotaController } from './resourcequota/controller.ts';
import { rootCAPublisherController } from './root-ca-publisher-controller.ts';
import { serviceAccountController } from './serviceaccount/service-account-controller.ts';
import { serviceAccountTokenController } from './serviceaccount/tokens-controller.ts';
import { statefulSetController } from './statefulset/controller.ts';
import { ttlAfterFinishedController } from './ttl-after-finished-controller.ts';
import { validatingAdmissionPolicyStatusController } from './validatingadmissionpolicy-status/controller.ts';
import { pvProtectionController } from './volume-protection/pv-protection-controller.ts';
import { pvcProtectionController } from './volume-protection/pvc-protection-controller.ts';
import { vacProtectionController } from './volume-protection/vac-protection-controller.ts';

/** All controllers, in the order in which they start. Upstream starts the tokens first, since others may need one. */
export const controllerRegistry: readonly ControllerDefinition[] = [
  serviceAccountTokenController,
  namespaceController,
  serviceAccountController,
  rootCAPublisherController,
  clusterRoleAggregationController,
  deploymentController,
  replicaSetController,
  replicationController,
  daemonSetController,
  statefulSetController,
  jobController,
  ttlAfterFinishedController,
  cronJobController,
  disruptionController,
  endpointsController,
  endpointSliceController,
  endpointSliceMirroringController,
  garbageCollectorController,
  resourceQuotaController,
  podGCController,
  persistentVolumeBinderController,
  expandController,
  ephemeralVolumeController,
  pvcProtectionController,
  pvProtectionController,
  vacProtectionController,
  nodeLifecycleController,
  taintEvictionController,
  validatingAdmissionPolicyStatusController,
];
