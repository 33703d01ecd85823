/**
 * Field management on writes (packages/apimachinery/src/managed-fields). Run with `npx tsx bench/managed-fields.bench.ts`.
 * The update path is on every write of the API server: a small create must stay below 10 µs.
 */
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { applyPatch, updateManagedFields } from '@k8ts/apimachinery';
import type { JsonObject } from '@k8ts/apimachinery';
import { realClock } from '@k8ts/base';
import { report } from './report.ts';

const CONFIG_MAP = schemaOf('', 'v1', 'ConfigMap') as Schema;
const POD = schemaOf('', 'v1', 'Pod') as Schema;
const NOW = Date.UTC(2026, 0, 31);

/** The best of several rounds, so that other programs on the machine count for little. */
function measure(name: string, runs: number, task: (i: number) => unknown): void {
  let best = Infinity;
  for (let round = 0; round < 10; round++) {
    const start = realClock.monotonic();
    for (let i = 0; i < runs / 10; i++) task(i);
    best = Math.min(best, ((realClock.monotonic() - start) / (runs / 10)) * 1000);
  }
  report([{ name: `managed fields: ${name}`, value: Math.round(best * 100) / 100, unit: 'µs' }]);
}

const configMap = (i: number): JsonObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: `c-${i}`, namespace: 'default', uid: 'u', labels: { app: 'x' } },
  data: { a: `value ${i}`, b: '2' },
});

const pod = (i: number): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    namespace: 'default',
    uid: 'u',
    labels: { app: 'x', tier: 'y' },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'v', controller: true }],
  },
  spec: {
    containers: ['a', 'b'].map((name) => ({
      name,
      image: 'nginx',
      ports: [{ containerPort: 80, protocol: 'TCP' }],
      env: Array.from({ length: 5 }, (_, j) => ({ name: `V${j}`, value: 'x' })),
      resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Gi' } },
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
      imagePullPolicy: 'Always',
    })),
    volumes: [{ name: 'v', emptyDir: {} }],
    restartPolicy: 'Always',
    nodeName: `n-${i % 3}`,
  },
  status: {
    phase: 'Running',
    conditions: ['Ready', 'Initialized', 'PodScheduled'].map((type) => ({ type, status: 'True' })),
  },
});

// Made before, so that only field management is measured.
const configMaps = Array.from({ length: 1000 }, (_, i) => configMap(i));
const pods = [pod(0), pod(1)];
function update(
  liveObject: JsonObject | undefined,
  newObject: JsonObject,
  schema: Schema,
  subresource = '',
): JsonObject {
  return updateManagedFields({
    liveObject,
    newObject,
    schema,
    manager: 'bench',
    apiVersion: 'v1',
    now: NOW,
    subresource,
  });
}

measure('create of a small ConfigMap', 200_000, (i) =>
  update(undefined, configMaps[i % 1000] as JsonObject, CONFIG_MAP),
);
const live = update(undefined, configMap(-1), CONFIG_MAP);
measure('update of a small ConfigMap, parsed anew', 200_000, (i) =>
  update(live, configMaps[i % 1000] as JsonObject, CONFIG_MAP),
);
const same = configMap(-1);
measure('update of a small ConfigMap, nothing changed', 200_000, () => update(live, same, CONFIG_MAP));

const [pod0, pod1] = pods as [JsonObject, JsonObject];
measure('create of a Pod with 2 containers', 50_000, () => update(undefined, pod0, POD));
const livePod = update(undefined, pod0, POD);
measure('update of a Pod, parsed anew, one field changed', 50_000, () => update(livePod, pod1, POD));
const status = { ...(livePod['status'] as JsonObject), phase: 'Failed' };
const podStatus = { ...livePod, status };
measure('status of a Pod, the rest shared', 200_000, () => update(livePod, podStatus, POD, 'status'));

const patch = { apiVersion: 'v1', kind: 'Pod', metadata: { labels: { app: 'z' } } };
measure('server-side apply of one label to a Pod', 20_000, () =>
  applyPatch({
    kind: 'Pod',
    apiVersion: 'v1',
    now: NOW,
    liveObject: livePod,
    patch,
    schema: POD,
    manager: 'applier',
    force: true,
  }),
);
