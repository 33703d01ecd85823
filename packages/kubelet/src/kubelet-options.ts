import type { corev1 } from '@k8ts/api';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Client, EventRecorder } from '@k8ts/client';
import type { Runtime } from '@k8ts/cri';

import type { Mounter } from './volumes/mount-table.ts';

export interface KubeletOptions {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  /** The kubelet's own files: pods' volumes and the like. Upstream: /var/lib/kubelet. */
  readonly rootDir: string;
  /** Default: `pod-logs` in `rootDir`; upstream /var/log/pods. */
  readonly podLogsDirectory?: string;
  /** Manifests of static pods; absent: none. */
  readonly staticPodPath?: string;
  /** Default: a recorder of its own over `client`. */
  readonly events?: EventRecorder;
  /** The primary first. Default: the machine's. */
  readonly nodeIps?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly taints?: readonly corev1.Taint[];
  readonly maxPods?: number;
  /** Milli-cores and bytes that pods do not get. */
  readonly reserved?: { readonly cpu: number; readonly memory: number };
  readonly clusterDns?: readonly string[];
  /** Default `cluster.local`. */
  readonly clusterDomain?: string;
  /** Default /etc/resolv.conf. */
  readonly resolvConf?: string;
  /** Below the machine's cgroup root. Default `kubepods`; false: no cgroups. */
  readonly cgroupRoot?: string | false;
  /** Where others reach the kubelet's API; default 10250. */
  readonly port?: number;
  readonly kubeletVersion?: string;
  readonly maxParallelImagePulls?: number;
  /** Milliseconds that a container which crashes again and again waits at most; default 300 000. */
  readonly maxContainerRestartPeriod?: number;
  /** Rotation of containers' logs; upstream's defaults are 10 MiB and 5 files. */
  readonly containerLogMaxSize?: number;
  readonly containerLogMaxFiles?: number;
  /** For tests. */
  readonly mounter?: Mounter;
}

export const KUBELET_VERSION = 'v1.36.0+k8ts';
export const DEFAULT_KUBELET_PORT = 10250;
export const DEFAULT_MAX_PODS = 110;
