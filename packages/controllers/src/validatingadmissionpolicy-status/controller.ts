import { admissionregistrationv1 } from '@k8ts/api';

import type { ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { serverKinds } from './server-kinds.ts';
import { checkTypes } from './type-checking.ts';

const NAME = 'validatingadmissionpolicy-status-controller';
const GROUP = 'admissionregistration.k8s.io';

/** Says in the status of each ValidatingAdmissionPolicy which of its expressions do not fit the kinds it is about. */
export const validatingAdmissionPolicyStatusController: ControllerDefinition = {
  name: NAME,
  account: NAME,
  permissions: [
    rule(['get', 'list', 'watch'], [GROUP], ['validatingadmissionpolicies']),
    rule(['get', 'patch', 'update'], [GROUP], ['validatingadmissionpolicies/status']),
    eventsRule,
  ],
  queue: 'validatingadmissionpolicy-status',
  workers: 5,
  maxRetries: undefined,
  eventSource: NAME,
  create: ({ client, informers, queue }) => {
    const type = admissionregistrationv1.validatingAdmissionPolicies;
    const policies = informers.of(type);
    const enqueue = ({ metadata }: admissionregistrationv1.ValidatingAdmissionPolicy): void =>
      queue.add(metadata.name);
    policies.addHandler({ added: enqueue, updated: enqueue });
    const kinds = serverKinds(client);
    return {
      reconcile: async (name) => {
        const policy = policies.lister.byKey(name);
        if (policy === undefined) return;
        const { generation = 0 } = policy.metadata;
        if (generation <= (policy.status?.observedGeneration ?? 0)) return;
        const expressionWarnings = await checkTypes(policy, kinds);
        const applied = {
          apiVersion: `${type.group}/${type.version}`,
          kind: type.kind,
          metadata: { name },
          status: {
            observedGeneration: generation,
            typeChecking: expressionWarnings.length === 0 ? {} : { expressionWarnings },
          },
        };
        const options = { fieldManager: NAME, force: true, subresource: 'status' };
        await client.resource(type).apply(name, applied, options);
      },
    };
  },
};
