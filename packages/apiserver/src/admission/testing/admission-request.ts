import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import type { UserInfo } from '../../authentication/contract.ts';
import { userInfo } from '../../authentication/well-known-users.ts';
import { AdmissionChain } from '../../registry/admission-chain.ts';
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin } from '../contract.ts';

/** What a test asks of a plugin; name and namespace are the object's, or the old object's. */
export interface AdmissionRequest {
  readonly operation: AdmissionOperation;
  readonly resource: ResourceType<KubeObject>;
  readonly subresource?: string;
  readonly object?: KubeObject;
  readonly oldObject?: KubeObject;
  /** Default: an administrator. */
  readonly user?: UserInfo;
  /** Default: the object's. */
  readonly name?: string;
  readonly dryRun?: boolean;
  readonly options?: Readonly<Record<string, unknown>>;
}

interface AskedRequest {
  readonly attributes: AdmissionAttributes;
  /** A copy of the object, which plugins change. */
  readonly object: Draft<KubeObject> | undefined;
  readonly warnings: readonly string[];
}

export function admissionRequest(request: AdmissionRequest): AskedRequest {
  const { resource, oldObject, subresource = '', user = userInfo('admin', ['system:masters']) } = request;
  const object = structuredClone(request.object) as Draft<KubeObject> | undefined;
  const metadata = (request.object ?? oldObject)?.metadata;
  const warnings: string[] = [];
  const attributes: AdmissionAttributes = {
    operation: request.operation,
    resource,
    subresource,
    namespace: metadata?.namespace ?? '',
    name: request.name ?? metadata?.name ?? '',
    user,
    object,
    oldObject,
    options: request.options ?? {},
    dryRun: request.dryRun ?? false,
    versions: {
      requested: resource,
      equivalents: [],
      show: (shown) => shown,
      take: (taken) => taken as never,
    },
    reinvocation: undefined,
    signal: undefined,
    warn: (message) => warnings.push(message),
  };
  return { attributes, object, warnings };
}

/** Runs both parts of one plugin, if it wants to see the request at all. Gives the object as it is then. */
export async function admit<T extends KubeObject>(
  plugin: AdmissionPlugin,
  request: AdmissionRequest & { readonly object?: T },
): Promise<Draft<T>> {
  const { attributes, object } = admissionRequest(request);
  const chain = new AdmissionChain([plugin]);
  await chain.admit(attributes);
  await chain.validate(attributes);
  return object as Draft<T>;
}
