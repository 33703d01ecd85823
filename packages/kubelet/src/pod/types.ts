import type { corev1 } from '@k8ts/api';

/** The wire types the kubelet handles all the time, under their own names. */
export type Pod = corev1.Pod;
export type PodSpec = corev1.PodSpec;
export type PodStatus = corev1.PodStatus;
export type PodCondition = corev1.PodCondition;
export type Container = corev1.Container;
export type EphemeralContainer = corev1.EphemeralContainer;
export type ApiContainerStatus = corev1.ContainerStatus;
export type ContainerState = corev1.ContainerState;
export type Probe = corev1.Probe;
export type LifecycleHandler = corev1.LifecycleHandler;
export type Node = corev1.Node;
export type NodeStatus = corev1.NodeStatus;
export type NodeCondition = corev1.NodeCondition;
export type Service = corev1.Service;
export type Secret = corev1.Secret;
export type Volume = corev1.Volume;
export type VolumeMount = corev1.VolumeMount;

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

/** Amounts by resource name, for example `{ cpu: '100m' }`. */
export type ResourceList = Readonly<Record<string, string>>;
