import { hostname } from 'node:os';
import { createMetrics, Scope, untilAborted } from '@k8ts/base';
import type { ComponentCommand } from '@k8ts/cli';
import { createClient, createHttpTransport, createInformerFactory, loadKubeconfig } from '@k8ts/client';
import { startKubeProxy } from '@k8ts/network';
import type { ActionContext } from '../actions.ts';
import { boolean, flag, KUBECONFIG, required } from './flags.ts';

export function kubeProxy({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-proxy',
    description: 'makes Services reachable from this machine (Linux, root)',
    flags: [
      KUBECONFIG,
      flag('hostname-override', 'name of this node', hostname().toLowerCase()),
      required('node-ip', 'address of this node'),
      flag('cluster-cidr', 'addresses of the cluster’s pods'),
      flag('cleanup', 'remove the rules and end: true or false', 'false'),
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const { transport } = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(transport)));
      const informers = scope.use(createInformerFactory({ client, clock, random, logger }));
      const clusterCidr = flags['cluster-cidr'];
      const proxy = scope.use(
        await startKubeProxy({
          informers,
          nodeName: flags['hostname-override'] as string,
          nodeIps: [flags['node-ip'] as string],
          ...(clusterCidr === undefined ? {} : { clusterCidrs: [clusterCidr] }),
          cleanup: boolean(flags, 'cleanup'),
          clock,
          logger,
          metrics: createMetrics(),
        }),
      );
      if (boolean(flags, 'cleanup')) return;
      await proxy.ready;
      await untilAborted(signal);
    },
  };
}
