import type { corev1 } from '@k8ts/api';

import { parseQuantity } from '../quantity.ts';
import type { Amounts } from '../resource-amounts.ts';
import type { QuotaEvaluator } from './contract.ts';
import { objectCountName, ONE } from './object-counts.ts';

const COUNT = objectCountName('', 'services');
const NODE_PORTS = 'services.nodeports';
const LOAD_BALANCERS = 'services.loadbalancers';
const COUNTED: ReadonlySet<string> = new Set([COUNT, 'services', NODE_PORTS, LOAD_BALANCERS]);

/** Services change their type, so updates count too. */
export const serviceEvaluator: QuotaEvaluator = {
  group: '',
  resource: 'services',
  readsObjects: true,
  counts: (name) => COUNTED.has(name),
  handles: ({ subresource }) => subresource === '',
  usage(object) {
    const { type, ports = [], allocateLoadBalancerNodePorts } = (object as corev1.Service).spec ?? {};
    const isLoadBalancer = type === 'LoadBalancer';
    // Node ports are not allocated yet when this is asked: what counts is what will be.
    const nodePorts =
      type === 'NodePort' || (isLoadBalancer && allocateLoadBalancerNodePorts !== false)
        ? ports.length
        : isLoadBalancer
          ? ports.filter(({ nodePort }) => (nodePort ?? 0) !== 0).length
          : 0;
    const usage: Amounts = new Map();
    return usage
      .set(COUNT, ONE)
      .set('services', ONE)
      .set(LOAD_BALANCERS, parseQuantity(isLoadBalancer ? '1' : '0'))
      .set(NODE_PORTS, parseQuantity(String(nodePorts)));
  },
};
