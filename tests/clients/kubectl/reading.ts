import { beforeAll, describe, expect, it } from 'vitest';

import { until } from '../../support/waiting.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

/** get in all its outputs, describe, events and watching. */
export function testReading(session: Session): void {
  describe('reading', () => {
    let kubectl: Kubectl;
    beforeAll(async () => {
      kubectl = await session.freshNamespace('reading');
      await kubectl.ok('create', 'deployment', 'web', '--image=nginx:1.27', '--replicas=2', '--port=80');
      await kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=20s');
      await kubectl.ok('expose', 'deployment', 'web', '--port=8080', '--target-port=80');
      // The scheduler tells of a binding after it, and waits for nobody.
      await until(async () => (await kubectl.ok('events')).split('Scheduled ').length > 2);
    });

    it('get as a table', async () => {
      const [header, ...rows] = (await kubectl.ok('get', 'pods')).trimEnd().split('\n');
      expect(header).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE$/);
      expect(rows).toHaveLength(2);
      for (const row of rows) expect(row).toMatch(/^web-[0-9a-f]+-\w{5} +1\/1 +Running +0 +\d+s$/);
      expect(await kubectl.ok('get', 'deployments')).toMatch(
        /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +2\/2 +2 +2 +\d+s\n$/,
      );
    });

    it('get all of a namespace', async () => {
      const all = await kubectl.ok('get', 'all');
      for (const row of [/^pod\/web-/m, /^service\/web +ClusterIP/m, /^deployment\.apps\/web/m])
        expect(all).toMatch(row);
      expect(all).toMatch(/^replicaset\.apps\/web-\w+ +2 +2 +2 +\d+s$/m);
    });

    it('get in all namespaces, without headers, with labels', async () => {
      const rows = await kubectl.ok('get', 'pods', '--all-namespaces', '--no-headers', '--show-labels');
      expect(rows).toMatch(/^reading +web-\S+ +1\/1 +Running +0 +\d+s +app=web,pod-template-hash=\w+$/m);
      expect(await kubectl.ok('get', 'pods', '--label-columns=app')).toMatch(/AGE +APP\n.* web\n/);
    });

    it('get --output=wide', async () => {
      const pods = await kubectl.ok('get', 'pods', '--output=wide');
      expect(pods).toMatch(/^NAME .* AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n/);
      expect(pods).toMatch(/ 10\.\d+\.\d+\.\d+ +node-[01] +<none> +<none>\n/);
      expect(await kubectl.ok('get', 'deployment', 'web', '-o', 'wide')).toMatch(
        /SELECTOR\nweb .* nginx +nginx:1\.27 +app=web\n/,
      );
      expect(await kubectl.ok('get', 'nodes', '--output=wide')).toMatch(
        /^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME\nnode-0 +Ready +<none> /,
      );
      expect(await kubectl.ok('get', 'service', 'web', '-o', 'wide')).toMatch(
        /web +ClusterIP +10\.(9[6-9]|10\d|11[01])\.\d+\.\d+ +<none> +8080\/TCP +\d+s +app=web\n/,
      );
    });

    it('get --output=yaml and json', async () => {
      const yaml = await kubectl.ok('get', 'deployment', 'web', '--output=yaml');
      expect(yaml).toMatch(/^apiVersion: apps\/v1\nkind: Deployment\nmetadata:\n/);
      expect(yaml).not.toContain('managedFields');
      expect(await kubectl.ok('get', 'deployment', 'web', '-o', 'yaml', '--show-managed-fields')).toContain(
        'manager: kubectl-create',
      );
      const list = JSON.parse(await kubectl.ok('get', 'pods', '--output=json')) as { items: unknown[] };
      expect(list).toMatchObject({ kind: 'List', apiVersion: 'v1' });
      expect(list.items).toHaveLength(2);
    });

    it('get --output=name, jsonpath, custom-columns, go-template', async () => {
      expect(await kubectl.ok('get', 'service,deployment', '--output=name')).toBe(
        'service/web\ndeployment.apps/web\n',
      );
      expect(await kubectl.ok('get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[0].image}')).toBe(
        'nginx:1.27 nginx:1.27',
      );
      expect(
        await kubectl.ok(
          'get',
          'deployment',
          'web',
          '-o',
          'custom-columns=WHO:.metadata.name,N:.spec.replicas',
        ),
      ).toMatch(/^WHO +N\nweb +2\n$/);
      expect(
        await kubectl.ok('get', 'pods', '-o', 'go-template={{range .items}}{{.status.phase}};{{end}}'),
      ).toBe('Running;Running;');
    });

    it('get with selectors, sorted, in chunks', async () => {
      expect(await kubectl.ok('get', 'pods', '--selector=app in (web,api)', '-o', 'name')).toMatch(
        /^(pod\/web-\S+\n){2}$/,
      );
      expect(await kubectl.run(['get', 'pods', '--selector=app!=web'])).toMatchObject({
        stdout: '',
        stderr: 'No resources found in reading namespace.\n',
      });
      const [node] = (await kubectl.ok('get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(' ');
      expect(
        await kubectl.ok(
          'get',
          'pods',
          `--field-selector=spec.nodeName=${node},status.phase=Running`,
          '-o',
          'name',
        ),
      ).toMatch(/^(pod\/web-\S+\n)+$/);
      expect(
        await kubectl.ok('get', 'pods', '--sort-by=.metadata.name', '--chunk-size=1', '-o', 'name'),
      ).toMatch(/^(pod\/web-\S+\n){2}$/);
      expect(await kubectl.fails('get', 'pods', '--field-selector=spec.color=red')).toContain(
        'field label not supported: spec.color',
      );
    });

    it('get --watch', async () => {
      await using watch = kubectl.start('get', 'configmaps', '--watch-only', '--output-watch-events');
      await using names = kubectl.start('get', 'configmaps', '--watch', '--output=name');
      await names.until(/configmap\/kube-root-ca\.crt/);
      // The first watcher says nothing before something happens; it sees one of these at the latest when it is there.
      await kubectl.ok('create', 'configmap', 'seen', '--from-literal=a=b');
      await names.until(/configmap\/seen/);
      await kubectl.ok('create', 'configmap', 'seen-too');
      await watch.until(/^EVENT +NAME +DATA +AGE\n(ADDED +seen +1 +\d+s\n)?ADDED +seen-too +0 +\d+s$/m);
      await kubectl.ok('delete', 'configmap', 'seen-too');
      await watch.until(/^DELETED +seen-too +0 +\d+s$/m);
    });

    it('describe a deployment', async () => {
      const text = await kubectl.ok('describe', 'deployment', 'web');
      expect(text).toMatch(/^Name: +web\nNamespace: +reading\n/);
      expect(text).toMatch(/^Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable$/m);
      expect(text).toMatch(/^RollingUpdateStrategy: +25% max unavailable, 25% max surge$/m);
      expect(text).toMatch(/^ +Available +True +MinimumReplicasAvailable$/m);
      expect(text).toMatch(/^NewReplicaSet: +web-\w+ \(2\/2 replicas created\)$/m);
      expect(text).toMatch(
        /Normal +ScalingReplicaSet .*deployment-controller +Scaled up replica set web-\w+ (from 0 )?to 2$/m,
      );
    });

    it('describe pods', async () => {
      const text = await kubectl.ok('describe', 'pods', '--selector=app=web', '--show-events');
      expect(text).toMatch(/^Controlled By: +ReplicaSet\/web-/m);
      expect(text).toMatch(/^ +Port: +80\/TCP$/m);
      expect(text).toMatch(/^ +Ready +True ?$/m);
      expect(text).toMatch(/^QoS Class: +BestEffort$/m);
      expect(text).toMatch(/Normal +Scheduled .*Successfully assigned reading\/web-\S+ to node-[01]$/m);
      expect(text).toMatch(/Normal +Started /);
    });

    it('describe a node', async () => {
      const text = await kubectl.ok('describe', 'node', 'node-0');
      expect(text).toMatch(/^ +Ready +True .* KubeletReady +kubelet is posting ready status$/m);
      expect(text).toMatch(/^Taints: +<none>$/m);
      expect(text).toMatch(/^Non-terminated Pods: +\(\d+ in total\)$/m);
      expect(text).toMatch(/^Allocated resources:$/m);
    });

    it('describe a service, a namespace, a config map', async () => {
      const service = await kubectl.ok('describe', 'service', 'web');
      expect(service).toMatch(/^Selector: +app=web$/m);
      expect(service).toMatch(/^TargetPort: +80\/TCP$/m);
      expect(service).toMatch(/^Endpoints: +10\.\d+\.\d+\.\d+:80,10\.\d+\.\d+\.\d+:80$/m);
      expect(await kubectl.ok('describe', 'namespace', 'reading')).toMatch(/^Status: +Active$/m);
      expect(await kubectl.ok('describe', 'configmap', 'kube-root-ca.crt')).toContain('BEGIN CERTIFICATE');
    });

    it('events', async () => {
      const table = await kubectl.ok('events', '--for=deployment/web');
      expect(table).toMatch(/^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n/);
      expect(table).toMatch(/Normal +ScalingReplicaSet +Deployment\/web +Scaled up replica set/);
      expect(await kubectl.ok('get', 'events', '--field-selector=reason=Scheduled')).toMatch(
        /Normal +Scheduled +pod\/web-\S+ +Successfully assigned reading\/web-/,
      );
    });
  });
}
