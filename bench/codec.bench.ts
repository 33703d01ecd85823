/** Decoding of request bodies (packages/apimachinery/src/codec). Run with `npx tsx bench/codec.bench.ts`. */
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { decodeObject, normalizeObject, parseBody, parseYaml } from '@k8ts/apimachinery';
import type { FieldValidation } from '@k8ts/apimachinery';
import { realClock } from '@k8ts/base';
import { report } from './report.ts';

/** The best of several rounds, so that other programs on the machine count for little. */
function measure(name: string, runs: number, bytes: number, task: (i: number) => unknown): void {
  let best = Infinity;
  for (let round = 0; round < 10; round++) {
    const start = realClock.monotonic();
    for (let i = 0; i < runs / 10; i++) task(i);
    best = Math.min(best, ((realClock.monotonic() - start) / (runs / 10)) * 1000);
  }
  report([
    { name, value: Math.round(best * 100) / 100, unit: 'µs' },
    { name: `${name}, throughput`, value: Math.round(bytes / best), unit: 'MB/s' },
  ]);
}

const configMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'c', namespace: 'default', labels: { app: 'x' } },
  data: { a: 'value 1', b: '2' },
};
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', labels: { app: 'x', tier: 'y' } },
  spec: {
    containers: ['a', 'b'].map((name) => ({
      name,
      image: 'nginx',
      ports: [{ containerPort: 80, protocol: 'TCP' }],
      env: Array.from({ length: 5 }, (_, j) => ({ name: `V${j}`, value: 'x' })),
      resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m', memory: '1Gi' } },
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
    })),
    volumes: [{ name: 'v', emptyDir: {} }],
  },
};
const large = {
  ...configMap,
  data: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key-${i}`, 'x'.repeat(1000)])),
};

for (const [name, kind, value, runs] of [
  ['small ConfigMap', 'ConfigMap', configMap, 100_000],
  ['Pod with 2 containers', 'Pod', pod, 20_000],
  ['ConfigMap of 500 kB', 'ConfigMap', large, 300],
] as const) {
  const schema = schemaOf('', 'v1', kind) as Schema;
  const body = Buffer.from(JSON.stringify(value));
  const text = body.toString();
  measure(`${name}: JSON.parse alone`, runs, body.length, () => JSON.parse(body.toString()));
  for (const fieldValidation of ['Ignore', 'Warn'] as readonly FieldValidation[]) {
    measure(`${name}: decode, ${fieldValidation}`, runs, body.length, () =>
      decodeObject(body, { schema, kind: { group: '', version: 'v1', kind }, fieldValidation }),
    );
  }
  const { value: parsed } = parseBody(text, 'json', false);
  const { object } = normalizeObject(parsed, schema);
  measure(`${name}: normalize what is normal`, runs, body.length, () => normalizeObject(object, schema));
  if (runs > 1000) measure(`${name}: as YAML`, runs / 100, body.length, () => parseYaml(`# yaml\n${text}`));
}
