import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, useCluster } from '../../support/cluster.ts';
import { ROOT } from '../../support/installation.ts';
import {
  accessOf,
  API_SERVICE,
  apiServiceOf,
  demandSampleApiServer,
  flunder,
  PORT,
  servingCertificate,
  untilServed,
} from '../../support/wardle/sample.ts';
import { until } from '../../support/waiting.ts';
import { createWire, type Wire } from '../../support/wire.ts';

// The sample API server as upstream's test has it: a Deployment behind a Service in a namespace of its own. Its image is
// ours, for there is no way to upstream's.

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });
const NAMESPACE = 'aggregator';
const LABELS = { app: 'sample-apiserver', apiserver: 'true' };

let wire: Wire;
let authority: string;
beforeAll(async () => {
  wire = await createWire({ kubeconfig: readFileSync(cluster.installation.kubeconfig, 'utf8') });
  const { cert, key, authority: ca } = servingCertificate(NAMESPACE);
  authority = ca;
  const metadata = (name: string): object => ({ name, namespace: NAMESPACE });
  for (const manifest of [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata('sample-apiserver-secret'),
      stringData: { 'tls.crt': cert, 'tls.key': key },
    },
    ...accessOf(NAMESPACE),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata('sample-apiserver-deployment'),
      spec: {
        replicas: 1,
        selector: { matchLabels: LABELS },
        template: {
          metadata: { labels: LABELS },
          spec: {
            terminationGracePeriodSeconds: 0,
            securityContext: { runAsUser: 0 },
            containers: [
              {
                name: 'sample-apiserver',
                image: 'guestbook:1',
                command: ['/usr/local/bin/node', '-e', program()],
                volumeMounts: [
                  {
                    name: 'apiserver-certs',
                    readOnly: true,
                    mountPath: '/apiserver.local.config/certificates',
                  },
                ],
                readinessProbe: {
                  httpGet: { scheme: 'HTTPS', port: 443, path: '/readyz' },
                  periodSeconds: 1,
                },
              },
            ],
            volumes: [{ name: 'apiserver-certs', secret: { secretName: 'sample-apiserver-secret' } }],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...metadata('sample-api'), labels: { test: 'aggregator' } },
      spec: { selector: { apiserver: 'true' }, ports: [{ protocol: 'TCP', port: PORT, targetPort: 443 }] },
    },
  ]) {
    const { namespace = 'default' } = (manifest as { metadata: { namespace?: string } }).metadata;
    await cluster.kubectl.in(namespace).feed(manifest, 'create', '-f', '-');
  }
  await cluster.kubectl
    .in(NAMESPACE)
    .ok('rollout', 'status', 'deployment/sample-apiserver-deployment', '--timeout=25s');
});
afterAll(() => wire?.[Symbol.dispose]());

/** One script without anything but Node. */
function program(): string {
  const main = join(ROOT, 'tests/support/wardle/main.ts');
  const flags = ['--bundle', '--platform=node', '--format=cjs'];
  return execFileSync(join(ROOT, 'node_modules/.bin/esbuild'), [main, ...flags], { encoding: 'utf8' });
}

describe('the sample API server in a pod', () => {
  it('[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator [LinuxOnly] [Conformance]', async () => {
    await cluster.apply(apiServiceOf(NAMESPACE, authority));
    await demandSampleApiServer({ wire, client: cluster.client, namespace: NAMESPACE });
  });

  it('is unavailable without its pod, and available again with another', async () => {
    const kubectl = cluster.kubectl.in(NAMESPACE);
    await cluster.apply(apiServiceOf(NAMESPACE, authority));
    await untilServed(wire);
    await kubectl.feed(flunder('one'), 'create', '-f', '-');
    expect(await kubectl.ok('get', 'flunders', '-o', 'name')).toContain('/one');
    const available = (): Promise<string> => kubectl.ok('get', 'apiservice', API_SERVICE);
    await kubectl.ok('scale', 'deployment/sample-apiserver-deployment', '--replicas=0');
    await until(async () => (await available()).includes('False (MissingEndpoints)'), 30_000);
    expect(await kubectl.fails('get', '--raw', '/apis/wardle.example.com/v1alpha1/flunders')).toContain(
      'the server is currently unable to handle the request',
    );
    await kubectl.ok('scale', 'deployment/sample-apiserver-deployment', '--replicas=1');
    await kubectl.ok('wait', '--for=condition=Available', `apiservice/${API_SERVICE}`, '--timeout=25s');
    // What was kept in memory went with its pod.
    expect(await kubectl.ok('get', 'flunders', '-o', 'name')).toBe('');
    await kubectl.ok('delete', 'apiservice', API_SERVICE);
  });
});
