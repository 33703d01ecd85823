import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { hostname } from 'node:os';
import { promisify } from 'node:util';

import { beforeAll, describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, useCluster } from '../support/cluster.ts';
import { PAUSE, podManifest, script } from '../support/manifests.ts';
import { until } from '../support/waiting.ts';

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });
const labels = { app: 'echo' };
const NODE = '/usr/local/bin/node';

/** HTTP on 8080 and UDP on 5353, both with the pod's name as answer; `/out` and `/in` change whether it is ready. */
const SERVER = `
  const name = require('os').hostname();
  let ready = true;
  require('http').createServer((request, response) => {
    if (request.url === '/out' || request.url === '/in') ready = request.url === '/in';
    response.statusCode = request.url === '/ready' && !ready ? 503 : 200;
    response.end(name);
  }).listen(8080);
  const socket = require('dgram').createSocket('udp4', (_, { port, address }) => socket.send(name, port, address));
  socket.bind(5353);
  process.on('SIGTERM', () => process.exit(0));`;

/** Asks \`count\` times, each time with a connection of its own; prints the answers, or codes of errors. */
const CLIENT = `
  const [url, count] = process.argv.slice(1);
  const { hostname, port, protocol } = new URL(url);
  const ask = () => new Promise((resolve) => {
    if (protocol === 'udp:') {
      const socket = require('dgram').createSocket('udp4', (answer) => { resolve(String(answer)); socket.close(); });
      socket.on('error', (error) => resolve(error.code));
      socket.send('hi', Number(port), hostname);
      setTimeout(() => { resolve('timeout'); process.exit(); }, 1000).unref();
      return;
    }
    const request = require('http').get(url, { agent: false, timeout: 2000 }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data));
      response.on('end', () => resolve(text.trim()));
    });
    request.on('error', (error) => resolve(error.code));
    request.on('timeout', () => request.destroy(Object.assign(new Error(), { code: 'timeout' })));
  });
  (async () => { for (let i = 0; i < Number(count); i++) console.log(await ask()); })();`;

function service(name: string, spec: object): object {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: labels, ...spec } };
}
const http = { name: 'http', port: 80, targetPort: 'http' };
const names = ['echo-0', 'echo-1'];

beforeAll(async () => {
  const readinessProbe = {
    httpGet: { path: '/ready', port: 'http' },
    periodSeconds: 1,
    failureThreshold: 1,
  };
  await cluster.apply(
    ...names.map((name) =>
      podManifest(
        name,
        {
          hostname: name,
          subdomain: 'headless',
          containers: [
            {
              name: 'app',
              image: 'guestbook:1',
              command: [NODE, '-e', SERVER],
              ports: [{ name: 'http', containerPort: 8080 }],
              readinessProbe,
            },
          ],
        },
        { labels },
      ),
    ),
    podManifest('client', { containers: [script(PAUSE)] }),
    service('echo', { ports: [http] }),
    service('sticky', { ports: [http], sessionAffinity: 'ClientIP' }),
    service('headless', { clusterIP: 'None', ports: [http] }),
    service('node', { type: 'NodePort', ports: [{ ...http, nodePort: 30200 }] }),
    service('alias', {
      type: 'ExternalName',
      externalName: 'echo.default.svc.cluster.local',
      selector: null,
    }),
  );
  for (const name of [...names, 'client']) await cluster.untilReady(name);
  await until(async () => (await answering('http://echo/', 20)).join() === names.join(), 30_000);
});

const inClient = (text: string): Promise<string> =>
  cluster.kubectl.ok('exec', 'client', '--', 'sh', '-c', text);

/** Who answers requests from a pod. */
async function answering(url: string, count = 12, from = 'echo-0'): Promise<readonly string[]> {
  const output = await cluster.kubectl.ok('exec', from, '--', NODE, '-e', CLIENT, url, String(count));
  return [...new Set(output.trim().split('\n'))].sort();
}

async function onHost(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(3000) });
  return (await response.text()).trim();
}

describe('Services', () => {
  it('answer by name, from all their pods, also one of these', async () => {
    expect(await answering('http://echo/', 30)).toEqual(names);
    expect(await answering('http://echo.default.svc.cluster.local/', 4)).not.toEqual([]);
    expect(await answering('http://alias/', 4)).not.toEqual([]);
  });

  it('stay with one pod when asked to', async () => {
    expect(await answering('http://sticky/', 20)).toHaveLength(1);
  });

  it('node ports answer on localhost, the node address, and from pods', async () => {
    expect(names).toContain(await onHost('http://127.0.0.1:30200/'));
    const node = (await cluster.pod('client')).status?.hostIP ?? '';
    expect(names).toContain(await onHost(`http://${node}:30200/`));
    expect(await answering(`http://${node}:30200/`, 20)).toEqual(names);
  });

  it('cluster IPs answer on the node', async () => {
    const ip = await cluster.kubectl.ok('get', 'service', 'echo', '-o', 'jsonpath={.spec.clusterIP}');
    expect(names).toContain(await onHost(`http://${ip}/`));
  });

  it('without endpoints refuse', async () => {
    await cluster.apply(service('nobody', { selector: { app: 'none' }, ports: [http] }));
    await until(async () => (await answering('http://nobody/', 1)).join() === 'ECONNREFUSED', 20_000);
  });

  it('leave out pods that are not ready', async () => {
    const ip = (await cluster.pod('echo-0')).status?.podIP ?? '';
    await onHost(`http://${ip}:8080/out`);
    await until(async () => (await answering('http://echo/')).join() === 'echo-1', 20_000);
    await onHost(`http://${ip}:8080/in`);
    await until(async () => (await answering('http://echo/')).join() === names.join(), 20_000);
  });

  it('UDP, by cluster IP and node port', async () => {
    await cluster.apply(
      service('udp', {
        type: 'NodePort',
        ports: [{ name: 'dns', protocol: 'UDP', port: 53, targetPort: 5353, nodePort: 30201 }],
      }),
    );
    await until(async () => (await answering('udp://udp:53', 20)).join() === names.join(), 20_000);
    await until(async () => names.includes(await askUdp(30201)));
  });
});

/** One datagram to a port of localhost; the answer, or nothing within a second. */
function askUdp(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const end = (text: string): void => {
      clearTimeout(limit);
      socket.close();
      resolve(text);
    };
    const limit = setTimeout(() => end(''), 1000);
    socket.once('message', (message) => end(message.toString().trim()));
    socket.send('hi\n', port, '127.0.0.1');
  });
}

describe('names', () => {
  const lookup = async (name: string): Promise<readonly string[]> => {
    const output = await inClient(`nslookup ${name} || true`);
    const answer = output.slice(output.indexOf('\n\n'));
    return [...answer.matchAll(/^Address: (\S+)$/gm)].map((match) => match[1] as string).sort();
  };

  it('a headless Service is its pods, and each has a name', async () => {
    const ips = await Promise.all(
      names.map(async (name) => (await cluster.pod(name)).status?.podIP as string),
    );
    expect(await lookup('headless.default.svc.cluster.local')).toEqual([...ips].sort());
    expect(await lookup('echo-1.headless.default.svc.cluster.local')).toEqual([ips[1]]);
    const hosts = `require('fs').readFileSync('/etc/hosts', 'utf8')`;
    expect(await cluster.kubectl.ok('exec', 'echo-1', '--', NODE, '-p', hosts)).toContain(
      `${ips[1] ?? ''}\techo-1.headless.default.svc.cluster.local\techo-1\n`,
    );
  });

  it('the ports of a Service are SRV records', async () => {
    const { stdout } = await promisify(execFile)('dig', [
      ...['+short', '+time=2', '@10.96.0.10', '_http._tcp.headless.default.svc.cluster.local', 'SRV'],
    ]);
    expect(stdout).toContain(' 8080 echo-0.headless.default.svc.cluster.local.');
  });

  it('DNS policies', async () => {
    const resolvConf = async (name: string, more: object): Promise<string> =>
      cluster.runPod(
        podManifest(name, { restartPolicy: 'Never', containers: [script('cat /etc/resolv.conf')], ...more }),
      );
    const clusterFirst =
      'search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n';
    expect(await resolvConf('dns-cluster', {})).toBe(clusterFirst);
    expect(
      await resolvConf('dns-none', {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['10.9.8.7'],
          searches: ['example.com'],
          options: [{ name: 'ndots', value: '2' }],
        },
      }),
    ).toBe('search example.com\nnameserver 10.9.8.7\noptions ndots:2\n');
    expect(await resolvConf('dns-host', { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })).toBe(
      clusterFirst,
    );
    expect(await resolvConf('dns-default', { dnsPolicy: 'Default' })).not.toContain('10.96.0.10');
  });

  it('host aliases', async () => {
    const hostAliases = [{ ip: '10.1.2.3', hostnames: ['one', 'uno'] }];
    const spec = { restartPolicy: 'Never', hostAliases, containers: [script('cat /etc/hosts')] };
    expect(await cluster.runPod(podManifest('aliases', spec))).toContain('10.1.2.3\tone\tuno');
  });
});

describe("the node's network", () => {
  it('hostNetwork is the node itself', async () => {
    await cluster.startPod(
      podManifest('on-host', {
        hostNetwork: true,
        containers: [
          script('mkdir /www; hostname > /www/name; exec httpd -f -p 8099 -h /www', {
            readinessProbe: { tcpSocket: { port: 8099 }, periodSeconds: 1 },
          }),
        ],
      }),
    );
    const { status } = await cluster.pod('on-host');
    expect(status?.podIP).toBe(status?.hostIP);
    expect(await onHost('http://127.0.0.1:8099/name')).toBe(hostname());
  });

  it('hostPort leads to the pod; a second pod with it finds no node', async () => {
    const withPort = (name: string): object =>
      podManifest(name, {
        containers: [
          script('mkdir /www; hostname > /www/name; exec httpd -f -p 8080 -h /www', {
            ports: [{ containerPort: 8080, hostPort: 8098 }],
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          }),
        ],
      });
    await cluster.startPod(withPort('first-port'));
    expect(await onHost('http://127.0.0.1:8098/name')).toBe('first-port');
    const node = (await cluster.pod('client')).status?.hostIP ?? '';
    expect(await answering(`http://${node}:8098/name`, 2)).toEqual(['first-port']);
    await cluster.apply(withPort('second-port'));
    const pod = await cluster.untilPod('second-port', ({ status }) => (status?.conditions ?? []).length > 0);
    expect(pod.status?.conditions?.[0]).toMatchObject({
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: expect.stringContaining(
        "1 node(s) didn't have free ports for the requested pod ports",
      ) as string,
    });
    await cluster.kubectl.ok('delete', 'pod', 'first-port', '--now');
    await cluster.untilReady('second-port');
    expect(await onHost('http://127.0.0.1:8098/name')).toBe('second-port');
  });
});
