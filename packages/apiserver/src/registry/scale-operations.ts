/** The scale subresource: an autoscaling/v1 Scale shows and sets the replicas of any kind that has some. */
import { schemaOf, type Draft, type KubeObject } from '@k8ts/api';
import { badRequest, internalError, invalid, notFound } from '@k8ts/apimachinery';
import type { RequestContext } from '../request/request-context.ts';
import { objectResult, type Result } from '../request/result.ts';
import type { ObjectRecord } from '../storage/object-record.ts';
import type { ScaleAccess } from './contract.ts';
import { decodeBody, readBody } from './generic/decode.ts';
import { writeOptions, type WriteOptions } from './generic/options.ts';
import { applyPatchTo, patchTypeOf, readPatch } from './generic/patch.ts';
import { updateObject } from './generic/update.ts';
import { namespaceOf, writeScope, type ResourceHandlers } from './object-operations.ts';
import type { ServedResource } from './served-resource.ts';

interface Scale extends KubeObject {
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas: number; readonly selector?: string };
}

const API_VERSION = 'autoscaling/v1';
/** The replicas of an object that has none, for a patch to replace: the smallest int32. */
const UNSET = -2_147_483_648;

export async function getScale(
  served: ServedResource,
  access: ScaleAccess<KubeObject>,
  context: RequestContext,
): Promise<Result> {
  const record = await served.storage.get(namespaceOf(served, context), context.info.name);
  if (record === undefined) throw notFound(served.groupResource, context.info.name);
  return objectResult(scaleOf(access, record.object));
}

/** PUT and PATCH. The object is changed from its newest state; only a resource version in the Scale holds it back. */
export async function writeScale(
  handlers: ResourceHandlers,
  served: ServedResource,
  access: ScaleAccess<KubeObject>,
  context: RequestContext,
): Promise<Result> {
  const isPatch = context.info.verb === 'patch';
  const wanted = isPatch ? await patchedScale(served, access, context) : await sentScale(context);
  const scope = writeScope(handlers, served, context, wanted.options);
  const outcome = await updateObject(scope, {
    draft: (old) => {
      const current = old as ObjectRecord;
      const scale = wanted.scale(scaleOf(access, current.object, UNSET));
      if (scale.spec?.replicas === UNSET)
        throw badRequest(`the spec replicas field ${pathOf(access)} cannot be empty`);
      check(scale, scope.name);
      const draft = structuredClone(current.object) as Draft<KubeObject>;
      const { resourceVersion } = scale.metadata;
      if (resourceVersion !== undefined && resourceVersion !== '')
        draft.metadata.resourceVersion = resourceVersion;
      else delete draft.metadata.resourceVersion;
      access.setReplicas(draft, scale.spec?.replicas ?? 0);
      return draft;
    },
    allowCreate: false,
    followsOld: true,
    asObject: true,
  });
  return objectResult(scaleOf(access, (outcome.record?.object ?? outcome.object) as KubeObject));
}

interface WantedScale {
  readonly options: WriteOptions;
  readonly scale: (current: Scale) => Scale;
}

async function sentScale(context: RequestContext): Promise<WantedScale> {
  const body = await readBody(context);
  const options = writeOptions(context.query, 'UpdateOptions');
  const warn = (message: string): void => context.warn(message);
  const scale = decodeBody<Scale>(body, expectedScale(), options.fieldValidation, warn) as Scale;
  context.audit?.requestObject(scale);
  return { options, scale: () => scale };
}

async function patchedScale(
  served: ServedResource,
  _access: ScaleAccess<KubeObject>,
  context: RequestContext,
): Promise<WantedScale> {
  const type = patchTypeOf(context);
  const options = writeOptions(context.query, 'PatchOptions', type === 'apply');
  const read = await readPatch(context, type);
  // Scales have no lists that merge by key, so an apply is a merge of what it names.
  const patch = type === 'apply' ? { ...read, type: 'merge' as const } : read;
  const scaleServed: ServedResource = { ...served, schema: () => expectedScale().schema };
  const warn = (message: string): void => context.warn(message);
  return {
    options,
    scale: (current) =>
      decodeBody<Scale>(
        { kind: 'value', value: applyPatchTo(scaleServed, current, patch) },
        expectedScale(),
        options.fieldValidation,
        warn,
      ),
  };
}

function expectedScale(): Parameters<typeof decodeBody>[1] {
  const schema = schemaOf('autoscaling', 'v1', 'Scale');
  if (schema === undefined) throw new Error('the tables have no Scale');
  return { group: 'autoscaling', version: 'v1', kind: 'Scale', schema };
}

function check(scale: Scale, name: string): void {
  if (scale.metadata.name !== name)
    throw badRequest(
      `the name of the object (${scale.metadata.name ?? ''}) does not match the name on the URL (${name})`,
    );
  const replicas = scale.spec?.replicas ?? 0;
  if (replicas < 0)
    throw invalid({ group: 'autoscaling', kind: 'Scale' }, name, [
      {
        type: 'FieldValueInvalid',
        field: 'spec.replicas',
        body: `Invalid value: ${replicas}: must be greater than or equal to 0`,
      },
    ]);
}

function pathOf({ replicasPath = '.spec.replicas' }: ScaleAccess<KubeObject>): string {
  return JSON.stringify(replicasPath);
}

function scaleOf(access: ScaleAccess<KubeObject>, object: KubeObject, unset?: number): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = access.replicas(object) ?? unset;
  if (replicas === undefined)
    throw internalError(new Error(`the spec replicas field ${pathOf(access)} does not exist`));
  const selector = access.selector(object);
  return {
    kind: 'Scale',
    apiVersion: API_VERSION,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
    spec: replicas === 0 ? {} : { replicas },
    status: {
      replicas: access.statusReplicas(object),
      ...(selector === '' ? {} : { selector }),
    },
  };
}
