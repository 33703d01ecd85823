/** pkg/apis/apps/v1/defaults.go */
import type { appsv1, corev1, Draft } from '@k8ts/api';
import { setClaimSpecDefaults, setPodTemplateDefaults } from '../core/pod-template/defaults.ts';

/** Types say that specs are there; a client may leave them out. */
function template(spec: { template: Draft<corev1.PodTemplateSpec> }): void {
  spec.template ??= {} as Draft<corev1.PodTemplateSpec>;
  setPodTemplateDefaults(spec.template);
}

export function setDeploymentDefaults(deployment: Draft<appsv1.Deployment>): void {
  const spec = (deployment.spec ??= {} as Draft<appsv1.DeploymentSpec>);
  spec.replicas ??= 1;
  const strategy = (spec.strategy ??= {});
  if (!strategy.type) strategy.type = 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rollingUpdate = (strategy.rollingUpdate ??= {});
    rollingUpdate.maxUnavailable ??= '25%';
    rollingUpdate.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  template(spec);
}

export function setReplicaSetDefaults(replicaSet: Draft<appsv1.ReplicaSet>): void {
  const spec = (replicaSet.spec ??= {} as Draft<appsv1.ReplicaSetSpec>);
  spec.replicas ??= 1;
  template(spec as Draft<Required<appsv1.ReplicaSetSpec>>);
}

export function setDaemonSetDefaults(daemonSet: Draft<appsv1.DaemonSet>): void {
  const spec = (daemonSet.spec ??= {} as Draft<appsv1.DaemonSetSpec>);
  const strategy = (spec.updateStrategy ??= {});
  if (!strategy.type) strategy.type = 'RollingUpdate';
  if (strategy.type === 'RollingUpdate') {
    const rollingUpdate = (strategy.rollingUpdate ??= {});
    rollingUpdate.maxUnavailable ??= 1;
    rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  template(spec);
}

export function setStatefulSetDefaults(statefulSet: Draft<appsv1.StatefulSet>): void {
  const spec = (statefulSet.spec ??= {} as Draft<appsv1.StatefulSetSpec>);
  if (!spec.podManagementPolicy) spec.podManagementPolicy = 'OrderedReady';
  const strategy = (spec.updateStrategy ??= {});
  if (!strategy.type) {
    strategy.type = 'RollingUpdate';
    strategy.rollingUpdate ??= {};
  }
  if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate !== undefined)
    strategy.rollingUpdate.partition ??= 0;
  const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
  if (!retention.whenDeleted) retention.whenDeleted = 'Retain';
  if (!retention.whenScaled) retention.whenScaled = 'Retain';
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  template(spec);
  for (const claim of spec.volumeClaimTemplates ?? []) {
    setClaimSpecDefaults((claim.spec ??= {} as Draft<corev1.PersistentVolumeClaimSpec>));
    claim.status ??= {};
    if (!claim.status.phase) claim.status.phase = 'Pending';
  }
}
