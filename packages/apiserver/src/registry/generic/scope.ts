import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import type { Clock, Logger, Random } from '@k8ts/base';
import type { AdmissionAttributes, AdmissionOperation } from '../../admission/contract.ts';
import type { UserInfo } from '../../authentication/contract.ts';
import type { AuthorizationAttributes, Decision } from '../../authorization/contract.ts';
import type { AdmissionChain } from '../admission-chain.ts';
import type { ObjectWriter, StrategyContext } from '../contract.ts';
import type { ServedResource } from '../served-resource.ts';

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
  readonly warn: (message: string) => void;
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
    warn: (message) => scope.warn(message),
  };
}
