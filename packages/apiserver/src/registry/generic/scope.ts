import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import type { Clock, Logger, Random } from '@k8ts/base';
import { internalError, normalizeObject } from '@k8ts/apimachinery';
import type {
  AdmissionAttributes,
  AdmissionOperation,
  AdmissionVersions,
  Annotate,
} from '../../admission/contract.ts';
import type { UserInfo } from '../../authentication/contract.ts';
import type { AuthorizationAttributes, Decision } from '../../authorization/contract.ts';
import type { AdmissionChain } from '../admission-chain.ts';
import type { ObjectWriter, StrategyContext } from '../contract.ts';
import { fromServed, toServed, type ServedResource } from '../served-resource.ts';

/** What the generic registry needs of the server; one per server. */
export interface RegistryServices {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly admission: AdmissionChain;
  readonly authorize: (attributes: AuthorizationAttributes) => Decision | Promise<Decision>;
  lookUp<R extends KubeObject>(type: ResourceType<R>, namespace: string, name: string): R | undefined;
  lookUpAll<R extends KubeObject>(type: ResourceType<R>, namespace?: string): readonly R[];
  /** For strategies that keep objects of other kinds: a Service's IPAddresses. */
  readonly objects: ObjectWriter;
}

/** One operation on one resource: what all writing functions of the generic registry are given. */
export interface WriteScope {
  readonly services: RegistryServices;
  readonly served: ServedResource;
  /** Empty for the object itself. */
  readonly subresource: string;
  readonly namespace: string;
  /** Empty for a creation whose name is in the object, or to be generated. */
  readonly name: string;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  /** Options in wire form, for admission. */
  readonly options: Readonly<Record<string, unknown>>;
  /** False for what the server does by itself: no admission. */
  readonly admit: boolean;
  /** Aborts when nobody waits for the request any more; made when first asked for. */
  readonly signal?: (() => AbortSignal) | undefined;
  readonly warn: (message: string) => void;
  /** As in AdmissionAttributes. */
  readonly annotate?: Annotate | undefined;
}

export function strategyContext(scope: WriteScope): StrategyContext {
  const { services } = scope;
  return {
    clock: services.clock,
    random: services.random,
    user: scope.user,
    dryRun: scope.dryRun,
    requestVersion: { group: scope.served.info.group, version: scope.served.info.version },
    objects: services.objects,
    lookUp: services.lookUp.bind(services),
    lookUpAll: services.lookUpAll.bind(services),
  };
}

export function admissionAttributes(
  scope: WriteScope,
  operation: AdmissionOperation,
  name: string,
  object: Draft<KubeObject> | undefined,
  oldObject: KubeObject | undefined,
): AdmissionAttributes {
  return {
    operation,
    resource: scope.served.storage.info,
    subresource: scope.subresource,
    namespace: scope.namespace,
    name,
    user: scope.user,
    object,
    oldObject,
    options: scope.options,
    dryRun: scope.dryRun,
    versions: versionsOf(scope.served),
    reinvocation: undefined,
    signal: scope.signal,
    warn: (message) => scope.warn(message),
    annotate: scope.annotate,
  };
}

const versions = new WeakMap<ServedResource, AdmissionVersions>();

/** Made once for each version of a resource. */
function versionsOf(served: ServedResource): AdmissionVersions {
  let found = versions.get(served);
  if (found === undefined) {
    found = admissionVersions(served);
    versions.set(served, found);
  }
  return found;
}

function admissionVersions(served: ServedResource): AdmissionVersions {
  const of = (type: ResourceType<KubeObject>): ServedResource =>
    served.equivalents.find((each) => each.type === type) ?? served;
  const take = (shown: unknown, target: ServedResource): Draft<KubeObject> => {
    const { object } = target.normalize?.(shown) ?? normalizeObject(shown, target.schema(), { owned: true });
    const draft = object as unknown as Draft<KubeObject>;
    draft.apiVersion = target.apiVersion;
    draft.kind = target.info.kind;
    return fromServed(target, draft);
  };
  const common = {
    requested: served.type,
    get equivalents() {
      return served.equivalents.filter((each) => each !== served).map(({ type }) => type);
    },
    schema: (type: ResourceType<KubeObject>) => of(type).schema(),
  };
  if (served.convert !== undefined) return convertedVersions(served, common, of, take);
  return Object.assign(common, {
    show: (object: KubeObject, type: ResourceType<KubeObject>) => toServed(of(type), object),
    take: (shown: unknown, type: ResourceType<KubeObject>) => take(shown, of(type)),
  });
}

/** Of versions between which a webhook stands. What it said of an object holds until the object is another one. */
function convertedVersions(
  served: ServedResource,
  common: Pick<AdmissionVersions, 'requested' | 'equivalents'>,
  of: (type: ResourceType<KubeObject>) => ServedResource,
  take: (shown: unknown, target: ServedResource) => Draft<KubeObject>,
): AdmissionVersions {
  interface Said {
    readonly of: string;
    readonly shown: KubeObject;
  }
  const said = new WeakMap<KubeObject, Map<ServedResource, Said>>();
  const convert = async (
    object: KubeObject,
    from: ServedResource,
    to: ServedResource,
  ): Promise<KubeObject> => {
    try {
      return (await from.convert?.(object, to)) ?? object;
    } catch (error) {
      throw internalError(error);
    }
  };
  return Object.assign(common, {
    async prepare(objects: readonly (KubeObject | undefined)[], type: ResourceType<KubeObject>) {
      const target = of(type);
      for (const object of objects) {
        if (object === undefined || target === served) continue;
        let known = said.get(object);
        if (known === undefined) said.set(object, (known = new Map<ServedResource, Said>()));
        const text = JSON.stringify(object);
        if (known.get(target)?.of === text) continue;
        known.set(target, { of: text, shown: await convert(object, served, target) });
      }
    },
    show(object: KubeObject, type: ResourceType<KubeObject>) {
      const target = of(type);
      if (target === served) return object;
      const shown = said.get(object)?.get(target)?.shown;
      if (shown === undefined) throw new TypeError('the object was not prepared to be shown in this version');
      return shown;
    },
    async take(shown: unknown, type: ResourceType<KubeObject>) {
      const target = of(type);
      const taken = take(shown, target);
      return target === served ? taken : ((await convert(taken, target, served)) as Draft<KubeObject>);
    },
  });
}
