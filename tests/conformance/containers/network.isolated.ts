import { corev1, discoveryv1 } from '@k8ts/api';
import { beforeAll, describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, NODE_NAME, useCluster } from '../../support/cluster.ts';
import { PAUSE, podManifest, script } from '../../support/manifests.ts';
import { until } from '../../support/waiting.ts';
import { NODE, useProxy } from './support.ts';

// Upstream's test/e2e/network and test/e2e/common/network.

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });

/** HTTP on 8080 and 8090, UDP on 8080: both say the pod's name; `/echo…` says the path. */
const SERVER = `
  const name = require('os').hostname();
  const answer = (request, response) => response.end(request.url.startsWith('/echo') ? request.url : name);
  for (const port of [8080, 8090]) require('http').createServer(answer).listen(port);
  const socket = require('dgram').createSocket('udp4', (_, { port, address }) => socket.send(name, port, address));
  socket.bind(8080);
  process.on('SIGTERM', () => process.exit(0));`;
/** Asks once over UDP and prints the answer. */
const UDP = `
  const [host, port] = process.argv.slice(1);
  const socket = require('dgram').createSocket('udp4', (answer) => { console.log(String(answer)); process.exit(); });
  socket.on('error', () => process.exit(1));
  socket.send('hi', Number(port), host);
  setTimeout(() => process.exit(1), 2000);`;

const server = (name: string, labels: Record<string, string>, more: object = {}): object =>
  podManifest(
    name,
    {
      containers: [
        {
          name: 'app',
          image: 'guestbook:1',
          command: [NODE, '-e', SERVER],
          ports: [{ name: 'web', containerPort: 8080 }],
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        },
      ],
      ...more,
    },
    { labels },
  );
const service = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec,
});
const WEB = { name: 'web', port: 80, targetPort: 8080 };
const STICKY = { sessionAffinity: 'ClientIP' };
const app = { app: 'web' };
const names = ['web-0', 'web-1', 'web-2'];

beforeAll(async () => {
  await cluster.apply(
    ...names.map((name) => server(name, app)),
    podManifest('client', { containers: [script(PAUSE)] }),
    podManifest('on-host', { hostNetwork: true, containers: [{ ...script(''), image: 'guestbook:1', command: [NODE, '-e', 'setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0))'] }] }), // prettier-ignore
    service('web', { selector: app, ports: [WEB] }),
  );
  for (const name of [...names, 'client', 'on-host']) await cluster.untilReady(name);
}, 90_000);

const services = () => cluster.client.resource(corev1.services, 'default');
const inClient = async (text: string): Promise<string> =>
  (await cluster.kubectl.run(['exec', 'client', '--', 'sh', '-c', text])).stdout;
/** Who answers, of a number of requests from a pod. */
async function answering(url: string, count = 15): Promise<readonly string[]> {
  const get = `for i in $(seq ${count}); do timeout 2 wget -qO- ${url} || echo -n failed; echo; done`;
  return [...new Set((await inClient(get)).trim().split('\n'))].sort();
}
const untilAnswering = (url: string, ...wanted: readonly string[]): Promise<void> =>
  until(async () => (await answering(url)).join() === wanted.join(), 40_000);
async function addressOf(name: string): Promise<{ clusterIP: string; nodePort: number }> {
  const { spec } = await services().get(name);
  return { clusterIP: String(spec?.clusterIP), nodePort: Number(spec?.ports?.[0]?.nodePort) };
}
const nodeIP = async (): Promise<string> => {
  const node = await cluster.client.resource(corev1.nodes, undefined).get(NODE_NAME);
  return String(node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address);
};
const change = (name: string, spec: object): Promise<corev1.Service> =>
  services().patch(name, { spec }, { type: 'merge' });
const podIP = async (name: string): Promise<string> => String((await cluster.pod(name)).status?.podIP);

describe.concurrent('Services', () => {
  /** Ports of a service's endpoints by pod. */
  const endpoints = async (name: string): Promise<Record<string, number[]>> => {
    const { items } = await cluster.client
      .resource(discoveryv1.endpointSlices, 'default')
      .list({ labelSelector: `kubernetes.io/service-name=${name}` });
    const found: Record<string, number[]> = {};
    for (const { endpoints: some, ports } of items)
      for (const { targetRef } of some ?? [])
        (found[String(targetRef?.name)] ??= []).push(...(ports ?? []).map(({ port }) => Number(port)));
    return found;
  };
  const untilEndpoints = (name: string, wanted: Record<string, number[]>): Promise<void> =>
    until(async () => {
      const found = await endpoints(name);
      const same = (pod: string): boolean => found[pod]?.sort().join() === wanted[pod]?.join();
      return Object.keys(found).length === Object.keys(wanted).length && Object.keys(wanted).every(same);
    }, 30_000);

  it('[sig-network] Services should serve a basic endpoint from pods [Conformance]', async () => {
    await cluster.apply(service('basic', { selector: { part: 'basic' }, ports: [WEB] }));
    await untilEndpoints('basic', {});
    await cluster.apply(server('basic-1', { part: 'basic' }));
    await untilEndpoints('basic', { 'basic-1': [8080] });
    await untilAnswering('http://basic', 'basic-1');
    await cluster.apply(server('basic-2', { part: 'basic' }));
    await untilEndpoints('basic', { 'basic-1': [8080], 'basic-2': [8080] });
    await untilAnswering('http://basic', 'basic-1', 'basic-2');
    await cluster.kubectl.ok('delete', 'pod', 'basic-1');
    await untilEndpoints('basic', { 'basic-2': [8080] });
    await untilAnswering('http://basic', 'basic-2');
    await cluster.kubectl.ok('delete', 'pod', 'basic-2');
    await untilEndpoints('basic', {});
  });

  it('[sig-network] Services should serve multiport endpoints from pods [Conformance]', async () => {
    const port = (name: string, number: number, targetPort: string) => ({ name, port: number, targetPort });
    await cluster.apply(
      service('multi', { selector: { part: 'multi' }, ports: [port('p1', 80, 'p1'), port('p2', 81, 'p2')] }),
    );
    const only = (name: string, portName: string, containerPort: number): object =>
      server(name, { part: 'multi' }, { containers: [{ name: 'app', image: 'guestbook:1', command: [NODE, '-e', SERVER], ports: [{ name: portName, containerPort }] }] }); // prettier-ignore
    await cluster.apply(only('multi-1', 'p1', 8080));
    await untilEndpoints('multi', { 'multi-1': [8080] });
    await cluster.apply(only('multi-2', 'p2', 8090));
    await untilEndpoints('multi', { 'multi-1': [8080], 'multi-2': [8090] });
    await untilAnswering('http://multi:80', 'multi-1');
    await untilAnswering('http://multi:81', 'multi-2');
    await cluster.kubectl.ok('delete', 'pod', 'multi-1');
    await untilEndpoints('multi', { 'multi-2': [8090] });
    await cluster.kubectl.ok('delete', 'pod', 'multi-2');
    await untilEndpoints('multi', {});
  });

  it('[sig-network] Services should be able to create a functioning NodePort service [Conformance]', async () => {
    await cluster.apply(service('node-port', { type: 'NodePort', selector: app, ports: [WEB] }));
    const { clusterIP, nodePort } = await addressOf('node-port');
    expect(nodePort).toBeGreaterThanOrEqual(30_000);
    for (const url of ['http://node-port', `http://${clusterIP}`, `http://${await nodeIP()}:${nodePort}`])
      await untilAnswering(url, ...names);
  });

  it('[sig-network] Services should serve endpoints on same port and different protocols [Conformance]', async () => {
    const ports = (...protocols: string[]) => protocols.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 80, targetPort: 8080 })); // prettier-ignore
    await cluster.apply(service('both', { selector: { app: 'web' }, ports: ports('TCP', 'UDP') }));
    const udp = async (): Promise<boolean> =>
      (await cluster.kubectl.run(['exec', 'web-0', '--', NODE, '-e', UDP, 'both', '80'])).stdout.startsWith('web-'); // prettier-ignore
    const tcp = async (): Promise<boolean> =>
      (await answering('http://both', 1))[0]?.startsWith('web-') === true;
    await until(async () => (await tcp()) && (await udp()), 30_000);
    await change('both', { ports: ports('TCP') });
    await until(async () => (await tcp()) && !(await udp()), 30_000);
    await change('both', { ports: ports('UDP') });
    await until(async () => !(await tcp()) && (await udp()), 30_000);
  });

  const external = { type: 'ExternalName', externalName: 'web.default.svc.cluster.local' };
  const resolves = async (name: string): Promise<string> => (await inClient(`nslookup ${name}.default.svc.cluster.local`)).replace(/^[^]*?\n\n/, ''); // prettier-ignore

  it('[sig-network] Services should be able to change the type from ExternalName to ClusterIP [Conformance]', async () => {
    await cluster.apply(service('en-cip', external));
    await change('en-cip', { type: 'ClusterIP', externalName: null, selector: app, ports: [WEB] });
    const { clusterIP } = await addressOf('en-cip');
    for (const url of ['http://en-cip', `http://${clusterIP}`]) await untilAnswering(url, ...names);
  });

  it('[sig-network] Services should be able to change the type from ExternalName to NodePort [Conformance]', async () => {
    await cluster.apply(service('en-np', external));
    await change('en-np', { type: 'NodePort', externalName: null, selector: app, ports: [WEB] });
    const { clusterIP, nodePort } = await addressOf('en-np');
    for (const url of ['http://en-np', `http://${clusterIP}`, `http://${await nodeIP()}:${nodePort}`])
      await untilAnswering(url, ...names);
  });

  it('[sig-network] Services should be able to change the type from ClusterIP to ExternalName [Conformance]', async () => {
    await cluster.apply(service('cip-en', { selector: app, ports: [WEB] }));
    expect((await addressOf('cip-en')).clusterIP).toMatch(/^\d/);
    const { spec } = await change('cip-en', { ...external, clusterIP: null, clusterIPs: null });
    expect(spec?.clusterIP).toBeUndefined();
    await until(async () => (await resolves('cip-en')).includes('web.default.svc.cluster.local'), 30_000);
  });

  it('[sig-network] Services should be able to change the type from NodePort to ExternalName [Conformance]', async () => {
    await cluster.apply(service('np-en', { type: 'NodePort', selector: app, ports: [WEB] }));
    expect((await addressOf('np-en')).nodePort).toBeGreaterThanOrEqual(30_000);
    const { spec } = await change('np-en', { ...external, clusterIP: null, clusterIPs: null });
    expect(spec?.ports?.[0]?.nodePort).toBeUndefined();
    await until(async () => (await resolves('np-en')).includes('web.default.svc.cluster.local'), 30_000);
  });

  /** Where a service of this type is asked. */
  const urlOf = async (type: 'ClusterIP' | 'NodePort', name: string): Promise<string> => {
    const { clusterIP, nodePort } = await addressOf(name);
    return type === 'ClusterIP' ? `http://${clusterIP}` : `http://${await nodeIP()}:${nodePort}`;
  };
  const holds = (type: 'ClusterIP' | 'NodePort') => async () => {
    const name = `sticky-${type.toLowerCase()}`;
    await cluster.apply(service(name, { type, selector: app, ports: [WEB], ...STICKY }));
    const url = await urlOf(type, name);
    await until(async () => (await answering(url)).every((who) => names.includes(who)), 30_000);
    expect(await answering(url, 25)).toHaveLength(1);
  };
  const switches = (type: 'ClusterIP' | 'NodePort') => async () => {
    const name = `switch-${type.toLowerCase()}`;
    await cluster.apply(service(name, { type, selector: app, ports: [WEB] }));
    const url = await urlOf(type, name);
    await untilAnswering(url, ...names);
    await change(name, STICKY);
    await until(async () => (await answering(url, 25)).length === 1, 30_000);
    await change(name, { sessionAffinity: 'None', sessionAffinityConfig: null });
    await untilAnswering(url, ...names);
  };
  it(
    '[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]',
    holds('ClusterIP'),
  );
  it(
    '[sig-network] Services should have session affinity work for NodePort service [LinuxOnly] [Conformance]',
    holds('NodePort'),
  );
  it(
    '[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly] [Conformance]',
    switches('ClusterIP'),
  );
  it(
    '[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly] [Conformance]',
    switches('NodePort'),
  );
});

describe.concurrent('DNS', () => {
  const untilResolves = (name: string, answer: string): Promise<void> =>
    until(
      async () => (await inClient(`nslookup ${name}`)).replace(/^[^]*?\n\n/, '').includes(answer),
      30_000,
    );

  it('[sig-network] DNS should provide DNS for the cluster [Conformance]', () =>
    untilResolves('kubernetes.default.svc.cluster.local', '10.96.0.1'));

  it('[sig-network] DNS should provide DNS for services [Conformance]', async () => {
    await cluster.apply(service('bare', { clusterIP: 'None', selector: app, ports: [WEB] }));
    const { clusterIP } = await addressOf('web');
    for (const name of ['web.default', 'web.default.svc', 'web.default.svc.cluster.local'])
      expect(await inClient(`wget -qO- http://${name}`)).toMatch(/^web-\d$/);
    await untilResolves('web.default.svc.cluster.local', clusterIP);
    for (const name of names) await untilResolves('bare.default.svc.cluster.local', await podIP(name));
    const srv = (name: string) => inClient(`nslookup -type=srv _web._tcp.${name}.default.svc.cluster.local`);
    expect(await srv('web')).toMatch(/service = 0 \d+ 80 web\.default\.svc\.cluster\.local/);
    expect(await srv('bare')).toMatch(/service = 0 \d+ 8080 \S+\.bare\.default\.svc\.cluster\.local/);
    const reversed = clusterIP.split('.').reverse().join('.');
    expect(await inClient(`nslookup -type=ptr ${reversed}.in-addr.arpa`)).toContain(
      'web.default.svc.cluster.local',
    );
  });

  it('[sig-network] DNS should resolve DNS of partial qualified names for services [LinuxOnly] [Conformance]', async () => {
    for (const name of ['web', 'web.default', 'web.default.svc'])
      expect(await inClient(`wget -qO- http://${name}`), name).toMatch(/^web-\d$/);
  });

  it('[sig-network] DNS should provide DNS for ExternalName services [Conformance]', async () => {
    const is = async (text: string) => until(async () => (await inClient('nslookup -type=cname aliased.default.svc.cluster.local')).includes(text), 30_000); // prettier-ignore
    await cluster.apply(service('aliased', { type: 'ExternalName', externalName: 'foo.example.com' }));
    await is('canonical name = foo.example.com');
    await change('aliased', { externalName: 'bar.example.com' });
    await is('canonical name = bar.example.com');
    await change('aliased', { type: 'ClusterIP', externalName: null, ports: [WEB] });
    await untilResolves('aliased.default.svc.cluster.local', (await addressOf('aliased')).clusterIP);
  });

  const named = (name: string, expected: readonly string[]) => async () => {
    await cluster.apply(
      service('dns-headless', { clusterIP: 'None', selector: { part: 'named' }, ports: [WEB] }),
      podManifest(name, { hostname: `${name}-host`, subdomain: 'dns-headless', containers: [script(PAUSE)] }, { labels: { part: 'named' } }), // prettier-ignore
    );
    await cluster.untilReady(name);
    const address = await podIP(name);
    for (const host of expected) await untilResolves(`${host}.default.svc.cluster.local`, address);
    const fqdn = `${name}-host.dns-headless.default.svc.cluster.local`;
    expect(await cluster.kubectl.ok('exec', name, '--', 'cat', '/etc/hosts')).toContain(fqdn);
    expect((await cluster.kubectl.ok('exec', name, '--', 'hostname', '-f')).trim()).toBe(fqdn);
  };
  it(
    '[sig-network] DNS should provide DNS for pods for Hostname [Conformance]',
    named('one', ['one-host.dns-headless']),
  );
  it(
    '[sig-network] DNS should provide DNS for pods for Subdomain [Conformance]',
    named('two', ['two-host.dns-headless', 'dns-headless']),
  );

  it('[sig-network] DNS should provide /etc/hosts entries for the cluster [Conformance]', async () => {
    const hosts = await inClient('cat /etc/hosts; hostname; hostname -i');
    const address = await podIP('client');
    expect(hosts).toContain(`${address}\tclient\n`);
    expect(hosts).toMatch(new RegExp(`client\n${address}\\s*$`));
  });

  it('[sig-network] DNS should support configurable pod DNS nameservers [Conformance]', async () => {
    await cluster.startPod(
      podManifest('own-dns', {
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['1.1.1.1'], searches: ['resolv.conf.local'] },
        containers: [script(PAUSE)],
      }),
    );
    expect(await cluster.kubectl.ok('exec', 'own-dns', '--', 'cat', '/etc/resolv.conf')).toBe('search resolv.conf.local\nnameserver 1.1.1.1\n'); // prettier-ignore
  });
});

describe.concurrent('Networking', () => {
  const udp = async (from: string): Promise<void> => {
    for (const name of names)
      await until(async () => (await cluster.kubectl.run(['exec', from, '--', NODE, '-e', UDP, await podIP(name), '8080'])).stdout.trim() === name, 20_000); // prettier-ignore
  };
  const http = async (from: string): Promise<void> => {
    const get = 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)';
    for (const name of names)
      await until(async () => (await cluster.kubectl.run(['exec', from, '--', NODE, '-e', get, `http://${await podIP(name)}:8080`])).stdout.trim() === name, 20_000); // prettier-ignore
  };
  it('[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: http [NodeConformance] [Conformance]', () =>
    http('web-0'));
  it('[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: udp [NodeConformance] [Conformance]', () =>
    udp('web-0'));
  it('[sig-network] Networking Granular Checks: Pods should function for node-pod communication: http [LinuxOnly] [NodeConformance] [Conformance]', () =>
    http('on-host'));
  it('[sig-network] Networking Granular Checks: Pods should function for node-pod communication: udp [LinuxOnly] [NodeConformance] [Conformance]', () =>
    udp('on-host'));
});

describe.concurrent('EndpointSlice', () => {
  const slice = (name: string, of: string, addresses: string[], ports: object[]): object => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports,
    endpoints: [{ addresses }],
  });
  it('[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices [Conformance]', async () => {
    const [address] = await Promise.all(names.map(podIP));
    await cluster.apply(
      service('ports', { ports: [{ name: 'p1', port: 80 }, { name: 'p2', port: 81 }] }), // prettier-ignore
      slice('ports-1', 'ports', [String(address)], [{ name: 'p1', port: 8080 }]),
      slice('ports-2', 'ports', [String(address)], [{ name: 'p2', port: 8090 }]),
    );
    await untilAnswering('http://ports:80', 'web-0');
    await untilAnswering('http://ports:81', 'web-0');
  });
  it('[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices [Conformance]', async () => {
    const [first, second] = await Promise.all(names.map(podIP));
    await cluster.apply(
      service('ips', { ports: [{ name: 'p', port: 80 }] }),
      slice('ips-1', 'ips', [String(first)], [{ name: 'p', port: 8080 }]),
      slice('ips-2', 'ips', [String(second)], [{ name: 'p', port: 8080 }]),
    );
    await untilAnswering('http://ips:80', 'web-0', 'web-1');
  });
});

describe.concurrent('Proxy', () => {
  const proxied = useProxy(cluster);
  const METHODS = ['DELETE', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'GET', 'HEAD'];
  const API = '/api/v1/namespaces/default';
  it('[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath [Conformance]', async () => {
    for (const target of ['pods/web-0:8080', 'services/web:web'])
      for (const method of METHODS) {
        const path = `/echo/some/path/with/${method}`;
        const response = await proxied(`${API}/${target}/proxy${path}`, { method });
        expect(response.status, `${method} ${target}`).toBe(200);
        if (method !== 'HEAD') expect(await response.text()).toBe(path);
      }
  });

  it('[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service Proxy [Conformance]', async () => {
    for (const target of ['pods/web-0:8080', 'services/web:web'])
      for (const method of METHODS) {
        // Without a path, what can be asked for again elsewhere is sent to `proxy/`.
        const isMoved = method === 'GET' || method === 'HEAD';
        const url = `${API}/${target}/proxy?method=${method}`;
        const response = await proxied(url, { method, redirect: 'manual' });
        expect(response.status, `${method} ${target}`).toBe(isMoved ? 301 : 200);
        if (!isMoved) expect(await response.text()).toMatch(/^web-\d$/);
      }
  });

  it('[sig-network] Proxy version v1 should proxy through a service and a pod [Conformance]', async () => {
    for (const target of [
      'pods/web-0:8080',
      'pods/http:web-0:8090',
      'services/web:web',
      'services/http:web:web',
      'services/web:80',
    ])
      for (let i = 0; i < 20; i++) {
        const response = await proxied(`${API}/${target}/proxy/echo?n=${i}`);
        expect(`${response.status} ${await response.text()}`, target).toBe(`200 /echo?n=${i}`);
      }
  });
});

describe('HostPort', () => {
  it('[sig-network] HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol [LinuxOnly] [Conformance]', async () => {
    const address = await nodeIP();
    const ports = [
      ['port-1', { hostIP: '127.0.0.1' }],
      ['port-2', { hostIP: address }],
      ['port-3', { hostIP: address, protocol: 'UDP' }],
    ] as const;
    await cluster.apply(
      ...ports.map(
        ([name, more]) =>
        server(name, { part: 'host-port' }, { containers: [{ name: 'app', image: 'guestbook:1', command: [NODE, '-e', SERVER], ports: [{ hostPort: 54323, containerPort: 8080, ...more }] }] }), // prettier-ignore
      ),
    );
    for (const [name] of ports) await cluster.untilReady(name);
    const get = 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)';
    const onHost = async (...args: string[]): Promise<string> => (await cluster.kubectl.run(['exec', 'on-host', '--', NODE, '-e', ...args])).stdout.trim(); // prettier-ignore
    await until(async () => (await onHost(get, 'http://127.0.0.1:54323')) === 'port-1', 20_000);
    await until(async () => (await onHost(get, `http://${address}:54323`)) === 'port-2', 20_000);
    await until(async () => (await onHost(UDP, address, '54323')) === 'port-3', 20_000);
  });
});
