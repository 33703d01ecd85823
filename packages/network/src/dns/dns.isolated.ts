import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { corev1, discoveryv1 } from '@k8ts/api';
import { Scope, createMetrics, realClock, seededRandom, silentLogger } from '@k8ts/base';
import { createInformerFactory } from '@k8ts/client';
import { FakeApi } from '@k8ts/client/testing';
import { findProgram } from '@k8ts/cri';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startKubeProxy } from '../proxy/kube-proxy.ts';
import { NetworkLab } from '../testing/network-lab.ts';
import type { LabPod } from '../testing/network-lab.ts';
import { testService, testSlice } from '../testing/service-objects.ts';
import { startClusterDns } from './cluster-dns.ts';
import { kubeDnsEndpointSlices, kubeDnsService } from './kube-dns-objects.ts';

const dig = await findProgram('dig');
const DNS = '10.96.0.10';

/** The whole way: a pod, its resolver's address, kube-proxy, the server on the bridge. */
describe.skipIf(dig === undefined)(
  `cluster DNS as pods see it${dig === undefined ? ' (needs dig: apt install dnsutils)' : ''}`,
  () => {
    const scope = new Scope();
    let lab: NetworkLab;
    let pod: LabPod;
    let server: LabPod;

    beforeAll(async () => {
      const api = new FakeApi();
      lab = scope.use(await NetworkLab.open());
      server = await lab.pod('server');
      pod = await lab.pod('client');
      await server.serve(8080);
      api.seed(corev1.nodes, { metadata: { name: 'here' }, spec: {} });
      api.seed(corev1.namespaces, { metadata: { name: 'default' }, spec: {} });
      api.seed(
        corev1.services,
        testService('web', { ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }] }),
      );
      api.seed(
        discoveryv1.endpointSlices,
        testSlice('web', [server.ip], [{ name: 'http', port: 8080, protocol: 'TCP' }]),
      );
      api.seed(corev1.services, testService('db', { clusterIP: 'None' }));
      api.seed(
        discoveryv1.endpointSlices,
        testSlice(
          'db',
          Array.from({ length: 100 }, (_, i) => ({ addresses: [`10.244.3.${i}`], hostname: `db-${i}` })),
        ),
      );
      const informers = scope.use(
        createInformerFactory({
          client: api.client,
          clock: realClock,
          random: seededRandom(1),
          logger: silentLogger,
        }),
      );
      const common = { informers, clock: realClock, logger: silentLogger, metrics: createMetrics() };
      const dns = scope.use(
        await startClusterDns({
          ...common,
          listen: lab.network.gateways.map((address) => ({ address, port: 10053 })),
          serviceIps: [DNS],
          upstreams: [],
          random: seededRandom(1),
        }),
      );
      const objects = {
        clusterIps: [DNS],
        servers: dns.addresses.map((address) => ({ ...address, nodeName: 'here' })),
      };
      api.seed(corev1.services, kubeDnsService(objects));
      for (const slice of kubeDnsEndpointSlices(objects)) api.seed(discoveryv1.endpointSlices, slice);
      const proxy = scope.use(
        await startKubeProxy({
          ...common,
          nodeName: 'here',
          nodeIps: [NetworkLab.nodeIp],
          clusterCidrs: ['10.244.0.0/16'],
          cleanup: true,
        }),
      );
      await Promise.all([dns.ready, proxy.ready]);
    });
    afterAll(() => scope[Symbol.asyncDispose]());

    const digs = async (...args: string[]): Promise<string[]> => {
      const output = await pod.run('dig', `@${DNS}`, '+time=2', '+tries=2', ...args);
      return output
        .split('\n')
        .filter((line) => line !== '')
        .sort();
    };

    it.each([
      [['web.default.svc.cluster.local', '+short'], ['10.96.0.50']],
      [['web.default.svc.cluster.local', '+short', '+tcp'], ['10.96.0.50']],
      [['web.default.svc.cluster.local', '+short', '+noedns', '+nocookie'], ['10.96.0.50']],
      [
        ['_http._tcp.web.default.svc.cluster.local', 'SRV', '+short'],
        ['0 100 80 web.default.svc.cluster.local.'],
      ],
      [['-x', '10.96.0.50', '+short'], ['web.default.svc.cluster.local.']],
      [['db-7.db.default.svc.cluster.local', '+short'], ['10.244.3.7']],
      [['10-244-0-9.default.pod.cluster.local', '+short'], ['10.244.0.9']],
      [['dns-version.cluster.local', 'TXT', '+short'], ['"1.1.0"']],
    ])('dig %j', async (args, lines) => {
      expect(await digs(...args)).toEqual(lines);
    });

    it('hands long answers over TCP, where dig asks again by itself', async () => {
      expect((await digs('db.default.svc.cluster.local', '+short', '+noedns')).length).toBe(100);
      expect((await digs('db.default.svc.cluster.local', '+short')).length).toBe(100);
    });

    it('tells missing names from missing records', async () => {
      const missing = (await digs('none.default.svc.cluster.local')).join('\n');
      expect(missing).toMatch(/status: NXDOMAIN/);
      expect(missing).toMatch(/cluster\.local\.\s+5\s+IN\s+SOA\s+ns\.dns\.cluster\.local\./);
      expect((await digs('web.default.svc.cluster.local', 'AAAA')).join('\n')).toMatch(
        /status: NOERROR[^]*SOA/,
      );
    });

    it('serves programs that use the C library and the search path', async () => {
      const resolvConf = join(lab.stateDir, '..', 'resolv.conf');
      const search = 'search default.svc.cluster.local svc.cluster.local cluster.local';
      await writeFile(resolvConf, `nameserver ${DNS}\n${search}\noptions ndots:5\n`);
      const script = `mount --bind ${resolvConf} /etc/resolv.conf && getent ahostsv4 web | head -1`;
      expect(await pod.run('unshare', '--mount', 'sh', '-c', script)).toMatch(/^10\.96\.0\.50 /);
    });

    it('is reachable from the node too, and leads to the Service', async () => {
      expect((await lab.node.run('dig', `@${DNS}`, 'web.default.svc.cluster.local', '+short')).trim()).toBe(
        '10.96.0.50',
      );
      expect(await pod.ask('tcp', '10.96.0.50', 80)).toBe(`server ${pod.ip}`);
    });
  },
);
