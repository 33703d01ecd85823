import { createHash } from 'node:crypto';

import { isJsonObject } from '@k8ts/apimachinery';

import {
  CONFIG_HASH_ANNOTATION,
  CONFIG_MIRROR_ANNOTATION,
  CONFIG_SEEN_ANNOTATION,
  CONFIG_SOURCE_ANNOTATION,
} from '../pod/pod-spec.ts';
import type { Container, Node, Pod, Probe } from '../pod/types.ts';

export interface StaticPodOptions {
  readonly nodeName: string;
  /** Of the manifest. */
  readonly path: string;
  /** RFC 3339: now. */
  readonly seen: string;
}

/**
 * Makes a pod of a manifest (pkg/kubelet/config: applyDefaults): its name ends with the node's, its uid and hash come from
 * the content, so a changed manifest is another pod. Throws what is wrong with the manifest.
 */
export function staticPod(manifest: unknown, { nodeName, path, seen }: StaticPodOptions): Pod {
  if (!isJsonObject(manifest)) throw new Error('the manifest is not an object');
  if (manifest['kind'] !== 'Pod' || manifest['apiVersion'] !== 'v1')
    throw new Error(
      `invalid pod: expected v1 Pod, found ${JSON.stringify(manifest['apiVersion'])} ${JSON.stringify(manifest['kind'])}`,
    );
  const { metadata, spec } = manifest as { metadata?: unknown; spec?: unknown };
  if (!isJsonObject(metadata) || typeof metadata['name'] !== 'string' || !NAME.test(metadata['name']))
    throw new Error('invalid pod: metadata.name is missing or no DNS name');
  if (!isJsonObject(spec) || !Array.isArray(spec['containers']) || spec['containers'].length === 0)
    throw new Error('invalid pod: spec.containers is missing');
  const namespace = metadata['namespace'] ?? 'default';
  if (typeof namespace !== 'string' || !NAME.test(namespace))
    throw new Error('invalid pod: metadata.namespace');
  for (const container of [
    ...(spec['containers'] as unknown[]),
    ...((spec['initContainers'] ?? []) as unknown[]),
  ])
    if (!isJsonObject(container) || typeof container['name'] !== 'string' || !LABEL.test(container['name']))
      throw new Error('invalid pod: a container has no name or no DNS label for one');

  const uid = createHash('md5')
    .update(JSON.stringify([nodeName, path, manifest]))
    .digest('hex');
  const { spec: declared } = manifest as unknown as Pod;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(metadata as unknown as Pod['metadata']),
      name: `${metadata['name']}-${nodeName.toLowerCase()}`,
      namespace,
      uid,
      annotations: {
        ...(metadata['annotations'] as Record<string, string> | undefined),
        [CONFIG_HASH_ANNOTATION]: uid,
        [CONFIG_SEEN_ANNOTATION]: seen,
        [CONFIG_SOURCE_ANNOTATION]: 'file',
      },
    },
    spec: {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      enableServiceLinks: true,
      ...declared,
      nodeName,
      securityContext: declared.securityContext ?? {},
      containers: declared.containers.map(withDefaults),
      ...(declared.initContainers === undefined
        ? {}
        : { initContainers: declared.initContainers.map(withDefaults) }),
      // It runs here whatever the node's taints say.
      tolerations: [...(declared.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    },
    status: { phase: 'Pending' },
  };
}

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** What the API server would have filled in. */
function withDefaults(container: Container): Container {
  const image = container.image ?? '';
  const latest = !image.includes('@') && (/:latest$/.test(image) || !/:[^/]+$/.test(image));
  const limits = container.resources?.limits;
  const probe = (declared: Probe | undefined): Probe | undefined =>
    declared === undefined
      ? undefined
      : { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3, ...declared };
  const { livenessProbe, readinessProbe, startupProbe } = container;
  return {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: latest ? 'Always' : 'IfNotPresent',
    ...container,
    resources:
      limits === undefined
        ? (container.resources ?? {})
        : { ...container.resources, requests: { ...limits, ...container.resources?.requests } },
    ...(livenessProbe === undefined ? {} : { livenessProbe: probe(livenessProbe) as Probe }),
    ...(readinessProbe === undefined ? {} : { readinessProbe: probe(readinessProbe) as Probe }),
    ...(startupProbe === undefined ? {} : { startupProbe: probe(startupProbe) as Probe }),
  };
}

/** The copy of a static pod that the API shows; it is owned by the node and goes with it. */
export function mirrorPod(pod: Pod, node: Node | undefined): Pod {
  const { uid: _uid, ...metadata } = pod.metadata;
  const hash = pod.metadata.annotations?.[CONFIG_HASH_ANNOTATION] ?? '';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [CONFIG_MIRROR_ANNOTATION]: hash },
      ...(node?.metadata.uid === undefined
        ? {}
        : {
            ownerReferences: [
              {
                apiVersion: 'v1',
                kind: 'Node',
                name: node.metadata.name,
                uid: node.metadata.uid,
                controller: true,
              },
            ],
          }),
    },
    spec: pod.spec,
  };
}

export function isMirrorOf(mirror: Pod, pod: Pod): boolean {
  return (
    mirror.metadata.annotations?.[CONFIG_MIRROR_ANNOTATION] ===
    pod.metadata.annotations?.[CONFIG_HASH_ANNOTATION]
  );
}
