import { readFile } from 'node:fs/promises';
import { createMetrics, Scope } from '@k8ts/base';
import { UserError } from '@k8ts/cli';
import type { ComponentCommand } from '@k8ts/cli';
import { createClient, createHttpTransport, loadKubeconfig } from '@k8ts/client';
import { controllerRegistry, runControllerManager } from '@k8ts/controllers';
import type { ActionContext } from '../actions.ts';
import { accountTransport } from './account-transport.ts';
import { boolean, flag, KUBECONFIG, LEADER_ELECT, leaderIdentity } from './flags.ts';

export function kubeControllerManager({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-controller-manager',
    description: 'the controllers alone',
    flags: [
      KUBECONFIG,
      LEADER_ELECT,
      flag('controllers', 'which controllers run: * for all, names, -name to leave one out', '*'),
      flag('root-ca-file', 'authority that is published to every namespace'),
      flag(
        'use-service-account-credentials',
        'each controller acts as its own service account: true or false',
        'true',
      ),
      flag('terminated-pod-gc-threshold', 'how many ended pods are kept', '12500'),
      flag(
        'node-monitor-grace-period',
        'seconds without a sign of life after which a node counts as gone',
        '50',
      ),
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const target = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(target.transport)));
      const ownAccounts = boolean(flags, 'use-service-account-credentials');
      const rootCA =
        flags['root-ca-file'] === undefined ? undefined : await readFile(flags['root-ca-file'], 'utf8');
      await runControllerManager(
        {
          client,
          ...(ownAccounts
            ? {
                clientFor: (account) =>
                  createClient(accountTransport(client, target.transport, account, scope, clock)),
              }
            : {}),
          clock,
          random,
          logger,
          metrics: createMetrics(),
          controllers: chosenControllers(flags['controllers'] as string),
          options: {
            ...(rootCA === undefined ? {} : { rootCA }),
            terminatedPodThreshold: Number(flags['terminated-pod-gc-threshold']),
            nodeMonitorGracePeriod: Number(flags['node-monitor-grace-period']) * 1000,
          },
          ...(boolean(flags, 'leader-elect') ? { leaderElection: { identity: leaderIdentity(random) } } : {}),
        },
        signal,
      );
    },
  };
}

/** `*`, `*,-deployment-controller`, or names. Throws `UserError` for a name that there is not. */
function chosenControllers(text: string): typeof controllerRegistry {
  const words = text.split(',').map((word) => word.trim());
  const names = controllerRegistry.map(({ name }) => name);
  for (const word of words)
    if (word !== '*' && !names.includes(word.replace(/^-/, '')))
      throw new UserError(
        `--controllers: there is no controller ${word.replace(/^-/, '')}; there are ${names.join(', ')}`,
      );
  return controllerRegistry.filter(
    ({ name }) => !words.includes(`-${name}`) && (words.includes('*') || words.includes(name)),
  );
}
