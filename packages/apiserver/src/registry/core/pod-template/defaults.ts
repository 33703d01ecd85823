/**
 * Defaults of pod specs wherever they stand (SetDefaults_PodSpec and what zz_generated.defaults.go calls below it).
 * Runs for every pod that is decoded: plain loops, no allocation where nothing is to be set. What the schema tables
 * declare (ports' protocol, …) is not repeated here.
 */
import type { corev1, Draft } from '@k8ts/api';
import { roundUpToMilli } from '../../quantities.ts';
import { isLatestTag } from './image-reference.ts';

type PodSpec = Draft<corev1.PodSpec>;
type Container = Draft<corev1.Container> | Draft<corev1.EphemeralContainer>;
type Volume = Draft<corev1.Volume>;

const SECRET_MODE = 0o644;
const TOKEN_EXPIRATION_SECONDS = 3600;

/** Makes sure that the spec is there, so that everything after decoding may rely on it. */
export function setPodTemplateDefaults(template: Draft<corev1.PodTemplateSpec> | undefined): void {
  if (template === undefined) return;
  template.spec ??= {} as PodSpec;
  setPodSpecDefaults(template.spec);
}

export function setPodSpecDefaults(spec: PodSpec): void {
  if (!spec.dnsPolicy) spec.dnsPolicy = 'ClusterFirst';
  if (!spec.restartPolicy) spec.restartPolicy = 'Always';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  if (!spec.schedulerName) spec.schedulerName = 'default-scheduler';
  // The two names of one field; the old one is kept for old clients.
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName;
  else if (spec.serviceAccount) spec.serviceAccountName = spec.serviceAccount;
  if (spec.hostNetwork) {
    setHostPorts(spec.containers);
    setHostPorts(spec.initContainers);
  }
  if (spec.volumes !== undefined) for (const volume of spec.volumes) setVolumeDefaults(volume);
  if (spec.initContainers !== undefined)
    for (const container of spec.initContainers) setContainerDefaults(container);
  if (spec.containers !== undefined) for (const container of spec.containers) setContainerDefaults(container);
  if (spec.ephemeralContainers !== undefined)
    for (const container of spec.ephemeralContainers) setContainerDefaults(container);
  roundUpToMilli(spec.overhead);
  roundUpResources(spec.resources);
}

/** With host networking, every container port is a host port. */
function setHostPorts(containers: readonly Draft<corev1.Container>[] | undefined): void {
  for (const container of containers ?? [])
    for (const port of container.ports ?? []) if (!port.hostPort) port.hostPort = port.containerPort;
}

function setContainerDefaults(container: Container): void {
  if (!container.imagePullPolicy)
    container.imagePullPolicy = isLatestTag(container.image ?? '') ? 'Always' : 'IfNotPresent';
  if (!container.terminationMessagePath) container.terminationMessagePath = '/dev/termination-log';
  if (!container.terminationMessagePolicy) container.terminationMessagePolicy = 'File';
  if (container.resources === undefined) container.resources = {};
  else roundUpResources(container.resources);
  if (container.env !== undefined) {
    for (const { valueFrom } of container.env) {
      if (valueFrom === undefined) continue;
      if (valueFrom.fieldRef !== undefined) setFieldRefDefaults(valueFrom.fieldRef);
    }
  }
  if (container.livenessProbe !== undefined) setProbeDefaults(container.livenessProbe);
  if (container.readinessProbe !== undefined) setProbeDefaults(container.readinessProbe);
  if (container.startupProbe !== undefined) setProbeDefaults(container.startupProbe);
  if (container.lifecycle !== undefined) {
    setHttpGetDefaults(container.lifecycle.postStart?.httpGet);
    setHttpGetDefaults(container.lifecycle.preStop?.httpGet);
  }
}

export function roundUpResources(resources: Draft<corev1.ResourceRequirements> | undefined): void {
  if (resources === undefined) return;
  roundUpToMilli(resources.limits);
  roundUpToMilli(resources.requests);
}

function setProbeDefaults(probe: Draft<corev1.Probe>): void {
  if (!probe.timeoutSeconds) probe.timeoutSeconds = 1;
  if (!probe.periodSeconds) probe.periodSeconds = 10;
  if (!probe.successThreshold) probe.successThreshold = 1;
  if (!probe.failureThreshold) probe.failureThreshold = 3;
  setHttpGetDefaults(probe.httpGet);
}

function setHttpGetDefaults(httpGet: Draft<corev1.HTTPGetAction> | undefined): void {
  if (httpGet === undefined) return;
  if (!httpGet.path) httpGet.path = '/';
  if (!httpGet.scheme) httpGet.scheme = 'HTTP';
}

function setFieldRefDefaults(fieldRef: Draft<corev1.ObjectFieldSelector>): void {
  if (!fieldRef.apiVersion) fieldRef.apiVersion = 'v1';
}

function setVolumeDefaults(volume: Volume): void {
  if (!hasSource(volume)) volume.emptyDir = {};
  if (volume.secret !== undefined) volume.secret.defaultMode ??= SECRET_MODE;
  if (volume.configMap !== undefined) volume.configMap.defaultMode ??= SECRET_MODE;
  if (volume.hostPath !== undefined) volume.hostPath.type ??= '';
  if (volume.image !== undefined && !volume.image.pullPolicy)
    volume.image.pullPolicy = isLatestTag(volume.image.reference ?? '') ? 'Always' : 'IfNotPresent';
  if (volume.downwardAPI !== undefined) {
    volume.downwardAPI.defaultMode ??= SECRET_MODE;
    setDownwardItemDefaults(volume.downwardAPI.items);
  }
  if (volume.projected !== undefined) {
    volume.projected.defaultMode ??= SECRET_MODE;
    for (const source of volume.projected.sources ?? []) {
      setDownwardItemDefaults(source.downwardAPI?.items);
      if (source.serviceAccountToken !== undefined)
        source.serviceAccountToken.expirationSeconds ??= TOKEN_EXPIRATION_SECONDS;
    }
  }
  const claim = volume.ephemeral?.volumeClaimTemplate;
  if (claim !== undefined)
    setClaimSpecDefaults((claim.spec ??= {} as Draft<corev1.PersistentVolumeClaimSpec>));
}

function hasSource(volume: Volume): boolean {
  for (const name in volume)
    if (name !== 'name' && (volume as unknown as Record<string, unknown>)[name] !== undefined) return true;
  return false;
}

function setDownwardItemDefaults(items: readonly Draft<corev1.DownwardAPIVolumeFile>[] | undefined): void {
  for (const item of items ?? []) if (item.fieldRef !== undefined) setFieldRefDefaults(item.fieldRef);
}

export function setClaimSpecDefaults(spec: Draft<corev1.PersistentVolumeClaimSpec>): void {
  spec.volumeMode ??= 'Filesystem';
  if (spec.resources === undefined) spec.resources = {};
  roundUpToMilli(spec.resources.limits);
  roundUpToMilli(spec.resources.requests);
}
