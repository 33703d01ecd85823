import { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import type { Kubectl } from '../../clients/kubectl/program.ts';
import { GUESTBOOK_ARCHIVE, NODE_NAME, useCluster } from '../../support/cluster.ts';
import { BUSYBOX } from '../../support/images.ts';
import { list, PAUSE, script, service, type Labels } from '../../support/manifests.ts';
import { until } from '../../support/waiting.ts';
import { GUESTBOOK } from './guestbook.ts';
import { useProxy } from './support.ts';

// Upstream's test/e2e/kubectl/kubectl.go where it needs containers, with programs of our own in the places of its images.

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });
const proxy = useProxy(cluster);

/** Tests use the same names; each has a namespace of its own. */
async function inNamespace(namespace: string): Promise<Kubectl> {
  await cluster.kubectl.ok('create', 'namespace', namespace);
  const accounts = cluster.client.resource(corev1.serviceAccounts, namespace);
  await until(async () => (await accounts.list()).items.length > 0);
  return cluster.kubectl.in(namespace);
}

function controller(name: string, replicas: number, labels: Labels, container: object): object {
  return {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name, labels },
    spec: {
      replicas,
      selector: labels,
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 5, containers: [container] } },
    },
  };
}

/** Deletes what the manifest says, at once, and waits until nothing of it is left. */
async function cleanUp(kubectl: Kubectl, manifest: object, ...selectors: readonly string[]): Promise<void> {
  await kubectl.feed(manifest, 'delete', '--grace-period=0', '--force', '-f', '-');
  const living =
    'go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}';
  for (const selector of selectors)
    await until(
      async () =>
        (await kubectl.ok('get', 'rc,svc', '-l', selector, '--no-headers')) === '' &&
        (await kubectl.ok('get', 'pods', '-l', selector, '-o', living)) === '',
      30_000,
    );
}

describe.concurrent('Update Demo', () => {
  const SELECTOR = 'name=update-demo';
  const serving = `mkdir /www; echo '{"image": "nautilus.jpg"}' > /www/data.json; httpd -p 80 -h /www; ${PAUSE}`;
  const nautilus = controller(
    'update-demo-nautilus',
    2,
    { name: 'update-demo', version: 'nautilus' },
    script(serving, { name: 'update-demo', ports: [{ containerPort: 80, protocol: 'TCP' }] }),
  );
  const of = (list: string, wanted: string): string =>
    `{{if (exists . ${list})}}{{range .${list.replaceAll(/"/g, '').replaceAll(' ', '.')}}}{{if eq .name "update-demo"}}${wanted}{{end}}{{end}}{{end}}`;
  const RUNNING = of('"status" "containerStatuses"', '{{if (exists . "state" "running")}}true{{end}}');
  const IMAGE = of('"spec" "containers"', '{{.image}}');

  /** So many pods there are, each runs the image and serves what it should. */
  async function untilReplicas(kubectl: Kubectl, namespace: string, replicas: number): Promise<void> {
    const show = (template: string, ...args: readonly string[]): Promise<string> =>
      kubectl.ok('get', 'pods', ...args, '-o', 'template', `--template=${template}`);
    const isServing = async (pod: string): Promise<boolean> => {
      if ((await show(RUNNING, pod)) !== 'true' || (await show(IMAGE, pod)) !== BUSYBOX) return false;
      const answer = await proxy(`/api/v1/namespaces/${namespace}/pods/${pod}/proxy/data.json`);
      return answer.ok && ((await answer.json()) as { image: string }).image.includes('nautilus.jpg');
    };
    await until(async () => {
      const names = await show('{{range.items}}{{.metadata.name}} {{end}}', '-l', SELECTOR);
      const pods = names.split(' ').filter(Boolean);
      if (pods.length !== replicas) return false;
      return (await Promise.all(pods.map(isServing))).every(Boolean);
    }, 50_000);
  }

  it('[sig-cli] Kubectl client Update Demo should create and stop a replication controller [Conformance]', async () => {
    const kubectl = await inNamespace('update-demo');
    await kubectl.feed(nautilus, 'create', '-f', '-');
    await untilReplicas(kubectl, 'update-demo', 2);
    await cleanUp(kubectl, nautilus, SELECTOR);
  });

  it('[sig-cli] Kubectl client Update Demo should scale a replication controller [Conformance]', async () => {
    const kubectl = await inNamespace('scale');
    await kubectl.feed(nautilus, 'create', '-f', '-');
    await untilReplicas(kubectl, 'scale', 2);
    for (const replicas of [1, 2]) {
      await kubectl.ok('scale', 'rc', 'update-demo-nautilus', `--replicas=${replicas}`, '--timeout=5m');
      await untilReplicas(kubectl, 'scale', replicas);
    }
    await cleanUp(kubectl, nautilus, SELECTOR);
  });
});

describe.concurrent('Kubectl client', () => {
  const labels = { app: 'agnhost', role: 'primary' };
  const serving = `mkdir /www; echo primary > /www/index.html; httpd -p 6379 -h /www; echo Paused; ${PAUSE}`;
  const primary = controller(
    'agnhost-primary',
    1,
    labels,
    script(serving, {
      name: 'agnhost-primary',
      ports: [{ name: 'agnhost-server', containerPort: 6379 }],
    }),
  );

  /** Creates the controller; resolves to its pods once they run. */
  async function started(kubectl: Kubectl, namespace: string, ...more: readonly object[]): Promise<string[]> {
    await kubectl.feed(list(primary, ...more), 'create', '-f', '-');
    const pods = cluster.client.resource(corev1.pods, namespace);
    let running: string[] = [];
    await until(async () => {
      const { items } = await pods.list({ labelSelector: 'app=agnhost' });
      running = items
        .filter(({ status }) => status?.phase === 'Running')
        .map(({ metadata }) => metadata.name);
      return running.length > 0;
    }, 40_000);
    return running;
  }

  /** The first requirement that no line meets, in their order: a line that has its first string must have the others. */
  function missing(output: string, required: readonly (readonly string[])[]): string | undefined {
    const lines = output.split('\n');
    let at = 0;
    for (const [first = '', ...others] of required) {
      while (at < lines.length && !lines[at]?.includes(first)) at++;
      const line = lines[at];
      if (line === undefined) return `${first} in:\n${output}`;
      const absent = others.find((item) => !line.includes(item));
      if (absent !== undefined) return `${absent} in: ${line}`;
    }
    return undefined;
  }

  it('[sig-cli] Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods [Conformance]', async () => {
    const namespace = 'described';
    const kubectl = await inNamespace(namespace);
    const pods = await started(
      kubectl,
      namespace,
      service('agnhost-primary', labels, 6379, 'agnhost-server'),
    );
    const described = (...args: readonly string[]): Promise<string> => kubectl.ok('describe', ...args);
    for (const pod of pods)
      expect(
        missing(await described('pod', pod), [
          ['Name:', 'agnhost-primary-'],
          ['Namespace:', namespace],
          ['Node:', NODE_NAME],
          ['Labels:', 'app=agnhost'],
          ['role=primary'],
          ['Annotations:'],
          ['Status:', 'Running'],
          ['IP:'],
          ['Controlled By:', 'ReplicationController/agnhost-primary'],
          ['Image:', BUSYBOX],
          ['State:', 'Running'],
          ['QoS Class:', 'BestEffort'],
        ]),
      ).toBeUndefined();
    await until(
      async () =>
        missing(await described('rc', 'agnhost-primary'), [
          ['Name:', 'agnhost-primary'],
          ['Namespace:', namespace],
          ['Selector:', 'app=agnhost,role=primary'],
          ['Labels:', 'app=agnhost'],
          ['role=primary'],
          ['Annotations:'],
          ['Replicas:', '1 current', '1 desired'],
          ['Pods Status:', '1 Running', '0 Waiting', '0 Succeeded', '0 Failed'],
          ['Pod Template:'],
          ['Image:', BUSYBOX],
          ['Events:'],
        ]) === undefined,
    );
    expect(
      missing(await described('service', 'agnhost-primary'), [
        ['Name:', 'agnhost-primary'],
        ['Namespace:', namespace],
        ['Labels:', 'app=agnhost'],
        ['role=primary'],
        ['Annotations:'],
        ['Selector:', 'app=agnhost', 'role=primary'],
        ['Type:', 'ClusterIP'],
        ['IP:'],
        ['Port:', '<unset>', '6379/TCP'],
        ['Endpoints:'],
        ['Session Affinity:', 'None'],
      ]),
    ).toBeUndefined();
    expect(
      missing(await described('node', NODE_NAME), [
        ['Name:', NODE_NAME],
        ['Labels:'],
        ['Annotations:'],
        ['CreationTimestamp:'],
        ['Conditions:'],
        ['Type', 'Status', 'LastHeartbeatTime', 'LastTransitionTime', 'Reason', 'Message'],
        ['Addresses:'],
        ['Capacity:'],
        ['Kernel Version:'],
        ['OS Image:'],
        ['Container Runtime Version:'],
        ['Kubelet Version:'],
        ['Pods:'],
      ]),
    ).toBeUndefined();
    expect(
      missing(await described('namespace', namespace), [
        ['Name:', namespace],
        ['Labels:'],
        ['Annotations:'],
        ['Status:', 'Active'],
      ]),
    ).toBeUndefined();
  });

  it('[sig-cli] Kubectl client Kubectl expose should create services for rc [Conformance]', async () => {
    const kubectl = await inNamespace('exposed');
    const [pod = ''] = await started(kubectl, 'exposed');
    await until(async () => (await kubectl.ok('logs', pod, '-c', 'agnhost-primary')).includes('Paused'));
    const slices = cluster.client.resource(discoveryv1.endpointSlices, 'exposed');
    const expectService = async (name: string, port: number): Promise<void> => {
      const labelSelector = `kubernetes.io/service-name=${name}`;
      await until(async () => {
        const { items } = await slices.list({ labelSelector });
        const found = items.flatMap(({ endpoints, ports }) =>
          (endpoints ?? []).map(
            ({ targetRef }) => `${targetRef?.name}:${ports?.map((each) => each.port).join()}`,
          ),
        );
        return found.join() === `${pod}:6379`;
      }, 30_000);
      const { spec } = await cluster.client.resource(corev1.services, 'exposed').get(name);
      expect(spec?.ports).toEqual([{ port, targetPort: 6379, protocol: 'TCP' }]);
      const get = ['exec', pod, '--', 'timeout', '2', 'wget', '-qO-', `http://${name}:${port}/`];
      await until(async () => (await kubectl.run(get)).stdout === 'primary\n', 20_000);
    };
    await kubectl.ok('expose', 'rc', 'agnhost-primary', '--name=rm2', '--port=1234', '--target-port=6379');
    await expectService('rm2', 1234);
    await kubectl.ok('expose', 'service', 'rm2', '--name=rm3', '--port=2345', '--target-port=6379');
    await expectService('rm3', 2345);
  });

  it('[sig-cli] Kubectl client Kubectl patch should add annotations for pods in rc [Conformance]', async () => {
    const kubectl = await inNamespace('patched');
    const pods = await started(kubectl, 'patched');
    for (const pod of pods)
      await kubectl.ok('patch', 'pod', pod, '-p', '{"metadata":{"annotations":{"x":"y"}}}');
    const { items } = await cluster.client
      .resource(corev1.pods, 'patched')
      .list({ labelSelector: 'app=agnhost' });
    expect(items.map(({ metadata }) => metadata.name).sort()).toEqual(pods.sort());
    expect(items.map(({ metadata }) => metadata.annotations?.['x'])).toEqual(pods.map(() => 'y'));
  });
});

describe('Guestbook application', () => {
  it('[sig-cli] Kubectl client Guestbook application should create and stop a working application [Conformance]', async () => {
    const kubectl = await inNamespace('guestbook');
    await kubectl.feed(GUESTBOOK, 'create', '-f', '-');
    const pods = cluster.client.resource(corev1.pods, 'guestbook');
    await until(async () => {
      const { items } = await pods.list({ labelSelector: 'app=guestbook,tier=frontend' });
      return items.length === 3 && items.every(({ status }) => status?.phase === 'Running');
    }, 40_000);
    const untilAnswer = (cmd: string, value: string, wanted: string): Promise<void> =>
      until(async () => {
        const query = `cmd=${cmd}&key=messages&value=${value}`;
        const answer = await proxy(`/api/v1/namespaces/guestbook/services/frontend/proxy/guestbook?${query}`);
        return answer.ok && (await answer.text()) === wanted;
      }, 30_000);
    await untilAnswer('get', '', '{"data":""}');
    await untilAnswer('set', 'TestEntry', '{"message":"Updated"}');
    await untilAnswer('get', '', '{"data":"TestEntry"}');
    await cleanUp(kubectl, GUESTBOOK, 'app=agnhost', 'app=guestbook');
  });
});
