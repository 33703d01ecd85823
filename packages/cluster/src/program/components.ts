import type { ComponentCommand } from '@k8ts/cli';
import type { ActionContext } from './actions.ts';
import { kubeApiServer } from './components/kube-apiserver.ts';
import { kubeControllerManager } from './components/kube-controller-manager.ts';
import { kubeProxy } from './components/kube-proxy.ts';
import { kubeScheduler } from './components/kube-scheduler.ts';
import { kubelet } from './components/kubelet.ts';

/** The components that run as processes of their own, with upstream's main flags. */
export function createComponents(context: ActionContext): readonly ComponentCommand[] {
  return [
    kubeApiServer(context),
    kubeControllerManager(context),
    kubeScheduler(context),
    kubelet(context),
    kubeProxy(context),
  ];
}
