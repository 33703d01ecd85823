import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { createMetrics, Scope, untilAborted } from '@k8ts/base';
import type { ComponentCommand } from '@k8ts/cli';
import { createClient, createHttpTransport, loadKubeconfig } from '@k8ts/client';
import { createAuthenticator, createAuthorizer, createKubeletServer, startKubelet } from '@k8ts/kubelet';
import { dataLayout } from '../../data-layout.ts';
import { openNodeContainers } from '../../node.ts';
import { CLUSTER_DNS_IP, CLUSTER_DOMAIN } from '../../node-network.ts';
import type { ActionContext } from '../actions.ts';
import { flag, KUBECONFIG, required } from './flags.ts';

export function kubelet({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kubelet',
    description: 'runs the pods of this machine (Linux, root)',
    flags: [
      KUBECONFIG,
      flag('hostname-override', 'name of this node', hostname().toLowerCase()),
      required('node-ip', 'address of this node'),
      flag('root-dir', 'where containers, volumes and images are kept', '/var/lib/k8ts-kubelet'),
      flag('pod-manifest-path', 'manifests of pods that run whatever the API server says'),
      flag('cluster-dns', 'addresses of the cluster’s DNS', CLUSTER_DNS_IP),
      flag('cluster-domain', 'the cluster’s domain', CLUSTER_DOMAIN),
      flag('port', 'port of the kubelet’s own API', '10250'),
      required('tls-cert-file', 'serving certificate'),
      required('tls-private-key-file', 'its key'),
      flag('client-ca-file', 'authority of clients’ certificates'),
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const { transport } = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(transport)));
      const layout = dataLayout(flags['root-dir'] as string);
      const containers = scope.use(await openNodeContainers({ layout, clock, logger }));
      const staticPodPath = flags['pod-manifest-path'];
      const clientCa = flags['client-ca-file'];
      const metrics = createMetrics();
      // Stopping it leaves the pods running; the next kubelet finds them.
      const running = scope.use(
        await startKubelet({
          client,
          runtime: containers.runtime,
          nodeName: flags['hostname-override'] as string,
          nodeIps: [flags['node-ip'] as string],
          clock,
          random,
          logger,
          metrics,
          rootDir: layout.kubelet,
          cgroupRoot: layout.cgroupRoot,
          clusterDns: (flags['cluster-dns'] as string).split(','),
          clusterDomain: flags['cluster-domain'] as string,
          port: Number(flags['port']),
          ...(staticPodPath === undefined ? {} : { staticPodPath }),
        }),
      );
      const server = scope.use(
        createKubeletServer({
          nodes: () => [running.served],
          clock,
          logger,
          metrics,
          authenticate: createAuthenticator(client, clock),
          authorize: createAuthorizer(client, clock),
          tls: {
            cert: await readFile(flags['tls-cert-file'] as string, 'utf8'),
            key: await readFile(flags['tls-private-key-file'] as string, 'utf8'),
            ...(clientCa === undefined ? {} : { clientCa: await readFile(clientCa, 'utf8') }),
          },
        }),
      );
      await server.listen(Number(flags['port']));
      await running.ready(signal);
      await untilAborted(signal);
    },
  };
}
