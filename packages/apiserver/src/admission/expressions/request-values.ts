/** A request as expressions see it. */
import type { corev1, KubeObject, ResourceType } from '@k8ts/api';
import type { AdmissionValues, CelAuthorizationQuery, CelAuthorize, JsonValue } from '@k8ts/apimachinery';
import type { UserInfo } from '../../authentication/contract.ts';
import type { AuthorizationAttributes, Decision } from '../../authorization/contract.ts';
import { selectorsOfText } from '../../authorization/selectors.ts';
import { userInfo } from '../../authentication/well-known-users.ts';
import type { AdmissionAttributes } from '../contract.ts';
import { requestFacts } from '../webhooks/admission-review.ts';

/** Asks the server's authorizers. */
export type Authorize = (attributes: AuthorizationAttributes) => Decision | Promise<Decision>;

export interface RequestSurroundings {
  /** Absent: expressions have no authorizer. */
  readonly authorize?: Authorize;
  readonly params?: KubeObject;
  readonly namespace?: corev1.Namespace;
}

/** `type`: the version of the resource in which objects are shown. */
export function admissionValues(
  attributes: AdmissionAttributes,
  type: ResourceType<KubeObject>,
  { authorize, params, namespace }: RequestSurroundings,
): AdmissionValues {
  const { object, oldObject, versions, user, subresource, name } = attributes;
  const shown = object === undefined ? undefined : versions.show(object, type);
  const shownOld = oldObject === undefined ? undefined : versions.show(oldObject, type);
  return {
    object: json(shown),
    oldObject: json(shownOld),
    request: json(requestFacts(attributes, type, shown ?? shownOld)),
    namespaceObject: json(namespace === undefined ? undefined : namespaceShown(namespace)),
    params: json(params),
    ...(authorize === undefined
      ? {}
      : {
          authorizer: {
            authorize: asker(authorize, user),
            requestResource: {
              group: type.group,
              resource: type.resource,
              subresource,
              namespace: attributes.namespace,
              name,
            },
          },
        }),
  };
}

function json(value: unknown): JsonValue {
  return (value ?? null) as JsonValue;
}

/** Without managed fields and owners. */
function namespaceShown({ metadata, spec, status }: corev1.Namespace): object {
  const { managedFields: _managed, ownerReferences: _owners, ...shown } = metadata;
  return { metadata: shown, spec, status };
}

/** The same question is asked once. */
function asker(authorize: Authorize, user: UserInfo): CelAuthorize {
  const known = new Map<string, ReturnType<CelAuthorize>>();
  return (query) => {
    const key = JSON.stringify(query);
    let decision = known.get(key);
    if (decision === undefined) {
      decision = decide(authorize(attributesOf(query, user)));
      known.set(key, decision);
    }
    return decision;
  };
}

/** Expressions cannot wait. */
function decide(decision: Decision | Promise<Decision>): ReturnType<CelAuthorize> {
  if (!(decision instanceof Promise))
    return { allowed: decision.verdict === 'allow', reason: decision.reason };
  decision.catch(() => undefined); // nobody waits for it
  return { allowed: false, reason: '', error: 'the authorizer did not answer at once' };
}

function attributesOf(
  { serviceAccount, verb, resource, path = '' }: CelAuthorizationQuery,
  user: UserInfo,
): AuthorizationAttributes {
  return {
    user: serviceAccount === undefined ? user : accountOf(serviceAccount),
    verb,
    isResourceRequest: resource !== undefined,
    apiGroup: resource?.group ?? '',
    apiVersion: resource === undefined ? '' : '*',
    resource: resource?.resource ?? '',
    subresource: resource?.subresource ?? '',
    namespace: resource?.namespace ?? '',
    name: resource?.name ?? '',
    path,
    ...selectorsOfText(resource?.fieldSelector, resource?.labelSelector),
  };
}

function accountOf({ namespace, name }: { readonly namespace: string; readonly name: string }): UserInfo {
  return userInfo(`system:serviceaccount:${namespace}:${name}`, [
    'system:serviceaccounts',
    `system:serviceaccounts:${namespace}`,
  ]);
}
