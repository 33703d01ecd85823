/** What the audit log says of a day with kubectl. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { auditv1 } from '@k8ts/api';
import { Cluster } from '@k8ts/cluster';
import { describe, expect, it } from 'vitest';

import { createKubectl } from './kubectl/program.ts';
import { findKubectls } from './kubectl/versions.ts';

const POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["*"]
- level: RequestResponse
  users: [kubernetes-admin]
  namespaces: [default]
  omitManagedFields: true
`;

describe.each(findKubectls().slice(-1))('kubectl $version', ({ path }) => {
  it('leaves its traces in the audit log', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'k8ts-audit-'));
    const policy = join(directory, 'policy.yaml');
    const log = join(directory, 'audit.log');
    await writeFile(policy, POLICY);
    try {
      {
        await using cluster = await Cluster.start({ nodes: 1, audit: { policy, log: { path: log } } });
        const kubeconfig = join(directory, 'kubeconfig');
        await writeFile(kubeconfig, cluster.kubeconfig, { mode: 0o600 });
        const kubectl = createKubectl({ path, kubeconfig, home: directory, namespace: 'default' });
        await kubectl.ok('create', 'deployment', 'web', '--image=nginx', '--replicas=0');
        await kubectl.ok('get', 'deployments');
        await kubectl.ok('scale', 'deployment', 'web', '--replicas=1');
        await kubectl.ok('label', 'deployment', 'web', 'a=b');
        const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { a: 'b' } };
        await kubectl.feed(map, 'apply', '--server-side', '-f', '-');
        await kubectl.fails('get', 'configmap', 'none');
        await kubectl.ok('get', 'configmap', 'm', '--as=nobody', '--as-group=system:masters');
        await kubectl.ok('delete', 'deployment', 'web', '--wait=false');
      }
      const events = (await readFile(log, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as auditv1.Event);
      const lines = events
        .filter(({ userAgent }) => userAgent?.startsWith('kubectl'))
        .map(
          ({ verb, objectRef = {}, impersonatedUser, requestObject, responseObject, responseStatus }) =>
            `${verb} ${objectRef.resource}/${objectRef.subresource ?? ''} ${objectRef.name ?? ''} ` +
            `${responseStatus?.code} ${impersonatedUser?.username ?? ''} ` +
            `${kindOf(requestObject)} ${kindOf(responseObject)}`,
        );
      expect(lines).toEqual([
        'create deployments/ web 201  Deployment Deployment',
        'list deployments/  200  - Table',
        'get deployments/ web 200  - Deployment',
        'patch deployments/scale web 200  - Scale',
        'get deployments/ web 200  - Deployment',
        'patch deployments/ web 200  - Deployment',
        'patch configmaps/ m 201  ConfigMap ConfigMap',
        'get configmaps/ none 404  - Status',
        'get configmaps/ m 200 nobody - Table',
        'delete deployments/ web 200  DeleteOptions Status',
      ]);
      expect(JSON.stringify(events)).not.toContain('"managedFields":[');
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

function kindOf(object: unknown): string {
  return (object as { readonly kind?: string } | undefined)?.kind ?? '-';
}
