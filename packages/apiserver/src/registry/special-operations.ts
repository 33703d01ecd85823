/** Calls of special handlers: what they are given, and admission for those that connect. */
import { schemaOf, type Draft, type KubeObject, type ResourceInfo, type SubresourceInfo } from '@k8ts/api';
import { badRequest } from '@k8ts/apimachinery';
import type { AdmissionAttributes, AdmissionOperation } from '../admission/contract.ts';
import { refuseTable } from '../output/media-types.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';
import { apiVersionOf } from '../storage/resource-storage.ts';
import { copyJson } from './generic/copy-json.ts';
import { decodeBody, readBody } from './generic/decode.ts';
import { writeOptions } from './generic/options.ts';
import type { ResourceHandlers } from './object-operations.ts';
import { createRegistryAccess } from './registry-access.ts';
import type { SpecialHandler, SpecialRequest } from './special-subresources.ts';

export async function callSpecial(
  handlers: ResourceHandlers,
  handler: SpecialHandler,
  row: ResourceInfo,
  subresource: SubresourceInfo | undefined,
  context: RequestContext,
): Promise<Result> {
  const { services, registry } = handlers;
  const { info, user } = context;
  const warn = (message: string): void => context.warn(message);
  const isConnect = handler.connect === true;
  if (isConnect && context.query.getAll('dryRun').length > 0) throw badRequest('dryRun is not supported');
  if (!isConnect) refuseTable(context);
  const options = isConnect ? undefined : writeOptions(context.query, 'CreateOptions');
  const kind = subresource ?? row;

  const attributes = (
    operation: AdmissionOperation,
    object: Draft<KubeObject> | undefined,
  ): AdmissionAttributes => ({
    operation,
    resource: row,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    user,
    object,
    oldObject: undefined,
    options: options?.wire ?? {},
    dryRun: options?.dryRun ?? false,
    versions: {
      requested: row,
      equivalents: [],
      show: (shown) => shown,
      take: (taken) => copyJson(taken) as never,
    },
    reinvocation: undefined,
    signal: () => context.signal,
    warn,
    annotate: context.audit?.annotator,
  });
  const admit = async (operation: AdmissionOperation, object: Draft<KubeObject>): Promise<void> => {
    const asked = attributes(operation, object);
    await services.admission.admit(asked);
    await services.admission.validate(asked);
  };

  const request: SpecialRequest = {
    context,
    info: row,
    verb: info.verb,
    namespace: row.namespaced ? info.namespace : '',
    name: info.name,
    user,
    dryRun: options?.dryRun ?? false,
    readBody: async <T extends object>() => {
      const schema = schemaOf(kind.group, kind.version, kind.kind);
      if (schema === undefined) throw new Error(`no schema for ${kind.kind}`);
      const draft = decodeBody(
        await readBody(context),
        { group: kind.group, version: kind.version, kind: kind.kind, schema },
        options?.fieldValidation ?? 'Warn',
        warn,
      );
      context.audit?.requestObject(draft);
      return draft as unknown as Draft<T>;
    },
    admitCreate: (object) => admit('CREATE', object),
    registry: createRegistryAccess(registry, services, user, warn),
    authorize: (asked) => services.authorize(asked),
    clock: services.clock,
    random: services.random,
    logger: services.logger,
    warn,
  };
  if (isConnect) await admit('CONNECT', connectOptions(kind, context));
  return handler.handle(request);
}

/** The options object of a connection (PodExecOptions, …) as admission plugins know it: the query in wire form. */
function connectOptions(
  kind: { readonly group: string; readonly version: string; readonly kind: string },
  { query }: RequestContext,
): Draft<KubeObject> {
  const options: Record<string, unknown> = { kind: kind.kind, apiVersion: apiVersionOf(kind) };
  for (const [name, value] of new URLSearchParams(query.text)) {
    if (name === 'command') options[name] = [...((options[name] as string[] | undefined) ?? []), value];
    else options[name] = value === 'true' ? true : value === 'false' ? false : value;
  }
  return options as unknown as Draft<KubeObject>;
}
