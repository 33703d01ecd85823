import { createMetrics, Scope, untilAborted } from '@k8ts/base';
import type { ComponentCommand } from '@k8ts/cli';
import {
  createClient,
  createEventRecorder,
  createHttpTransport,
  createInformerFactory,
  loadKubeconfig,
  runLeaderElection,
} from '@k8ts/client';
import { startScheduler } from '@k8ts/scheduler';
import type { ActionContext } from '../actions.ts';
import { boolean, flag, KUBECONFIG, LEADER_ELECT, leaderIdentity } from './flags.ts';

export function kubeScheduler({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-scheduler',
    description: 'the scheduler alone',
    flags: [KUBECONFIG, LEADER_ELECT, flag('scheduler-name', 'whose pods it schedules', 'default-scheduler')],
    async run(flags, signal) {
      await using scope = new Scope();
      const { transport } = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(transport)));
      const common = { client, clock, random, logger };
      const lead = async (leading: AbortSignal): Promise<void> => {
        await using work = new Scope();
        const schedulerName = flags['scheduler-name'] as string;
        const informers = work.use(createInformerFactory(common));
        const events = work.use(createEventRecorder({ ...common, component: schedulerName }));
        work.use(startScheduler({ ...common, informers, events, metrics: createMetrics(), schedulerName }));
        await untilAborted(leading);
      };
      if (!boolean(flags, 'leader-elect')) return lead(signal);
      await runLeaderElection(
        {
          ...common,
          namespace: 'kube-system',
          name: 'kube-scheduler',
          identity: leaderIdentity(random),
          releaseOnCancel: true,
          lead,
        },
        signal,
      );
    },
  };
}
