/**
 * MutatingAdmissionPolicy: expressions in the API change what is about to be stored
 * (k8s.io/apiserver/pkg/admission/plugin/policy/mutating). Nothing here waits but for webhooks that convert.
 */
import { admissionregistrationv1, schemaOf, type KubeObject } from '@k8ts/api';
import { goQuote, isJsonObject, serviceUnavailable, StatusError } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { prepareVersions, type AdmissionAttributes, type AdmissionPlugin } from '../contract.ts';
import { admissionValues, type RequestSurroundings } from '../expressions/request-values.ts';
import { refuse } from '../refuse.ts';
import { ReinvocationMemory } from '../reinvocation.ts';
import { replaceObject } from '../replace-object.ts';
import { MutatingPolicy } from './mutating-policy.ts';
import { policiesHandle, policyHooks } from './policy-hooks.ts';
import {
  failsClosed,
  namespaceOf,
  policyInvocations,
  type PolicyInvocation,
  type PolicyProblem,
} from './policy-invocations.ts';
import type { PolicyServices } from './validating-admission-policy.ts';

type Policy = admissionregistrationv1.MutatingAdmissionPolicy;
type Binding = admissionregistrationv1.MutatingAdmissionPolicyBinding;
type Invocation = PolicyInvocation<Policy, Binding> | PolicyProblem<Policy, Binding>;

const NAME = 'MutatingAdmissionPolicy';

interface Problem {
  readonly message: string;
  /** Empty: that of a refusal. */
  readonly reason: string;
}

export function mutatingAdmissionPolicy(services: PolicyServices): AdmissionPlugin {
  const { objects } = services;
  const hooks = policyHooks(
    objects,
    admissionregistrationv1.mutatingAdmissionPolicies,
    admissionregistrationv1.mutatingAdmissionPolicyBindings,
  );
  /** Policies are immutable, so what is compiled stays good. */
  const compiled = new WeakMap<Policy, MutatingPolicy>();
  const compile = (policy: Policy): MutatingPolicy => {
    let found = compiled.get(policy);
    if (found === undefined) {
      found = new MutatingPolicy(policy);
      compiled.set(policy, found);
    }
    return found;
  };
  return {
    name: NAME,
    operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
    handles: policiesHandle,
    admit(attributes) {
      const all = hooks();
      if (all.length === 0) return;
      // All are chosen before the first changes anything.
      const invocations = [...policyInvocations(all, attributes, objects)];
      return invocations.length === 0 ? undefined : run(invocations, attributes);
    },
  };

  async function run(invocations: readonly Invocation[], attributes: AdmissionAttributes): Promise<void> {
    const problems: Problem[] = [];
    let memory: ReinvocationMemory | undefined;
    for (const invocation of invocations) {
      const { policy, binding } = invocation;
      const report = (message: string, reason: string): void => {
        if (failsClosed(policy))
          problems.push({ message: `${named(policy, binding)} denied request: ${message}`, reason });
      };
      if ('message' in invocation) {
        report(invocation.message, '');
        continue;
      }
      memory ??= new ReinvocationMemory(attributes, NAME);
      for (const params of invocation.params)
        await invoke(services, attributes, memory, compile(policy), invocation, params, (message) =>
          report(message, 'Invalid'),
        );
    }
    memory?.done();
    if (problems.length > 0) throw denied(attributes, problems);
  }
}

async function invoke(
  { objects, authorize }: PolicyServices,
  attributes: AdmissionAttributes,
  memory: ReinvocationMemory,
  compiled: MutatingPolicy,
  { policy, binding, type }: PolicyInvocation<Policy, Binding>,
  params: KubeObject | undefined,
  report: (message: string) => void,
): Promise<void> {
  const namespace = namespaceOf(attributes, objects);
  const surroundings: RequestSurroundings = { authorize, ...(params === undefined ? {} : { params }) };
  await prepareVersions(attributes, [type]);
  const matched = compiled.conditions?.evaluate(admissionValues(attributes, type, surroundings)) ?? {
    matches: true,
  };
  if (matched.error !== undefined) return report(matched.error);
  const { object, versions } = attributes;
  const id = JSON.stringify([
    policy.metadata.name,
    binding.metadata.name,
    params?.metadata.namespace ?? '',
    params?.metadata.name ?? '',
  ]);
  if (!matched.matches || !memory.wants(id)) return;
  let changed = false;
  for (const mutation of object === undefined ? [] : compiled.mutations) {
    const target = object as NonNullable<typeof object>;
    await prepareVersions(attributes, [type]);
    const shown = versions.show(target, type);
    const { apiVersion = '', kind = '' } = shown;
    const schema =
      versions.schema?.(type) ?? schemaOf(type.group, type.version, kind === '' ? type.kind : kind);
    if (schema === undefined)
      throw serviceUnavailable(
        `Resource kind ${apiVersion}, Kind=${kind} not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.`,
      );
    try {
      const values = admissionValues(attributes, type, {
        ...surroundings,
        ...(namespace === undefined ? {} : { namespace }),
      });
      const made = compiled.apply(mutation, shown, schema, values);
      if (!isJsonObject(made)) throw new Error('JSON Patch: the patch does not leave an object');
      changed = replaceObject(target, await versions.take(made, type)) || changed;
    } catch (error) {
      if (error instanceof StatusError) throw error;
      report(errorMessage(error));
    }
  }
  memory.called(id, changed, policy.spec.reinvocationPolicy === 'IfNeeded');
}

function named({ metadata }: Policy, binding: Binding | undefined): string {
  return binding === undefined
    ? `policy ${goQuote(metadata.name)}`
    : `policy '${metadata.name}' with binding '${binding.metadata.name}'`;
}

/** The first problem is the message; all are causes. */
function denied(attributes: AdmissionAttributes, problems: readonly Problem[]): StatusError {
  const { status } = refuse(attributes, 'admission request denied by policy');
  const { message, reason } = problems[0] as Problem;
  return new StatusError({
    ...status,
    message,
    ...(reason === '' ? {} : { reason }),
    details: {
      ...status.details,
      causes: [
        ...(status.details?.causes ?? []),
        ...problems.map((problem) => ({ message: problem.message })),
      ],
    },
  });
}
