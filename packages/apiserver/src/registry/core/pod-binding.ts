/** POST pods/NAME/binding, and its old form POST bindings: assigns a pod to a node. */
import { corev1, type Draft } from '@k8ts/api';
import {
  aggregateText,
  badRequest,
  conflict,
  fieldErrorText,
  notSupported,
  required,
  StatusError,
  type FieldError,
} from '@k8ts/apimachinery';
import { objectResult, type Result } from '../../request/result.ts';
import type { SpecialHandler, SpecialRequest } from '../special-subresources.ts';
import { setPodCondition } from './pod/conditions.ts';

const BINDING = { group: '', resource: 'pods/binding' };

function validate({ target }: Draft<corev1.Binding>): FieldError[] {
  // The type says that it is there; a client may have left it out.
  const { kind = '', name = '' } = (target as Draft<corev1.ObjectReference> | undefined) ?? {};
  const errors: FieldError[] = [];
  if (kind !== '' && kind !== 'Node') errors.push(notSupported('target.kind', kind, ['Node', '<empty>']));
  if (name === '') errors.push(required('target.name', ''));
  return errors;
}

/** Upstream gives the errors as they are, so they arrive without a reason. */
function serverError(errors: readonly FieldError[]): StatusError {
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: aggregateText(errors.map(fieldErrorText)),
    code: 500,
  });
}

/** Why a pod cannot be assigned. */
function obstacle({ metadata, spec }: corev1.Pod): string | undefined {
  if (metadata.deletionTimestamp !== undefined)
    return `pod ${metadata.name} is being deleted, cannot be assigned to a host`;
  if (spec.nodeName) return `pod ${metadata.name} is already assigned to node "${spec.nodeName}"`;
  if ((spec.schedulingGates ?? []).length > 0)
    return `pod ${metadata.name} has non-empty .spec.schedulingGates`;
  return undefined;
}

function assign(pod: Draft<corev1.Pod>, binding: Draft<corev1.Binding>, now: number): void {
  const { metadata } = pod;
  const { annotations, labels } = binding.metadata;
  pod.spec.nodeName = binding.target.name ?? '';
  if (annotations !== undefined) metadata.annotations = { ...metadata.annotations, ...annotations };
  if (labels !== undefined) metadata.labels = { ...metadata.labels, ...labels };
  const status = (pod.status ??= {});
  delete status.nominatedNodeName;
  setPodCondition(status, { type: 'PodScheduled', status: 'True' }, now);
}

async function bind(request: SpecialRequest): Promise<Result> {
  const { namespace, dryRun, registry, clock } = request;
  const binding = await request.readBody<corev1.Binding>();
  const metadata = (binding.metadata ??= {} as Draft<corev1.Binding>['metadata']);
  const name = request.name === '' ? (metadata.name ?? '') : request.name;
  if ((metadata.namespace ?? '') === '') metadata.namespace = namespace;
  else if (metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  if (name !== (metadata.name ?? '')) throw badRequest('name in URL does not match name in Binding object');
  const errors = validate(binding);
  if (errors.length > 0) throw serverError(errors);
  await request.admitCreate(binding);

  const { uid, resourceVersion } = metadata;
  await registry.update(
    corev1.pods,
    namespace,
    name,
    (pod, old) => {
      const problem = obstacle(old);
      if (problem !== undefined) throw conflict(BINDING, name, problem);
      assign(pod, binding, clock.now());
    },
    {
      dryRun,
      ...(uid || resourceVersion
        ? { preconditions: { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) } }
        : {}),
    },
  );
  return objectResult({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, 201);
}

export const podBindingHandler: SpecialHandler = {
  group: '',
  resource: 'pods',
  subresource: 'binding',
  handle: bind,
};

export const bindingHandler: SpecialHandler = {
  group: '',
  resource: 'bindings',
  subresource: '',
  handle: bind,
};
