import { join } from 'node:path';

/**
 * Where the kubelet keeps what belongs to a pod, as upstream lays it out (below its root directory, by default
 * /var/lib/kubelet):
 *
 *     pods/<uid>/etc-hosts
 *     pods/<uid>/containers/<name>/<random>            termination message
 *     pods/<uid>/volumes/kubernetes.io~configmap/<name>
 *     pods/<uid>/volume-subpaths/<volume>/<container>/<index>
 */
export interface PodDirectories {
  readonly pods: string;
  pod(uid: string): string;
  volumes(uid: string): string;
  volume(uid: string, plugin: string, name: string): string;
  container(uid: string, container: string): string;
  subPaths(uid: string): string;
  hostsFile(uid: string): string;
}

export function podDirectories(root: string): PodDirectories {
  const pods = join(root, 'pods');
  const pod = (uid: string): string => join(pods, safeSegment(uid));
  return {
    pods,
    pod,
    volumes: (uid) => join(pod(uid), 'volumes'),
    volume: (uid, plugin, name) => join(pod(uid), 'volumes', `kubernetes.io~${plugin}`, safeSegment(name)),
    container: (uid, container) => join(pod(uid), 'containers', safeSegment(container)),
    subPaths: (uid) => join(pod(uid), 'volume-subpaths'),
    hostsFile: (uid) => join(pod(uid), 'etc-hosts'),
  };
}

/** Names come from the API, which has checked them; nothing that could leave its directory gets here all the same. */
function safeSegment(name: string): string {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name))
    throw new Error(`unsafe file name ${JSON.stringify(name)}`);
  return name;
}
