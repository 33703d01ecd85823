import { corev1 } from '@k8ts/api';
import type { Draft, KubeObject, ResourceType, authenticationv1 } from '@k8ts/api';
import { badRequest, conflict, formatTime, invalid, invalidValue } from '@k8ts/apimachinery';
import { WARN_ONLY_BOUND_TOKEN_EXPIRATION } from '../admission/plugins/service-account.ts';
import { objectResult } from '../request/result.ts';
import type { SpecialHandler, SpecialRequest } from '../registry/special-subresources.ts';
import type { BoundToken, NamedReference, ServiceAccountTokens } from './service-account-tokens.ts';

const DEFAULT_EXPIRATION = 60 * 60;
const MIN_EXPIRATION = 10 * 60;
const MAX_EXPIRATION = 2 ** 32;
/** What an automatically mounted token really lives, for clients that never read it again (one year). */
const EXTENDED_EXPIRATION = 365 * 24 * 60 * 60;

/** POST serviceaccounts/NAME/token: a token for the account, bound to an object if the request says so. */
export function tokenRequestHandler(
  tokens: ServiceAccountTokens,
  options: { readonly audiences: readonly string[]; readonly extendExpiration: boolean },
): SpecialHandler {
  return {
    group: '',
    resource: 'serviceaccounts',
    subresource: 'token',

    async handle(request) {
      const { namespace, name, registry } = request;
      const body = await request.readBody<authenticationv1.TokenRequest>();
      const account = await registry.get(corev1.serviceAccounts, namespace, name);
      checkIdentity(body, namespace, name);
      body.spec.expirationSeconds ??= DEFAULT_EXPIRATION;
      if ((body.spec.audiences ?? []).length === 0) body.spec.audiences = [...options.audiences];
      validate(body);
      await request.admitCreate(body);

      const bound = await boundObject(request, body.spec.boundObjectRef);
      const { token, expiration, credentialId } = tokens.issue({
        namespace,
        serviceAccount: referenceTo(account),
        audiences: body.spec.audiences ?? [],
        expirationSeconds: body.spec.expirationSeconds,
        ...bound,
        ...(options.extendExpiration && isMountedToken(body, bound, options.audiences)
          ? { extendedSeconds: EXTENDED_EXPIRATION - WARN_ONLY_BOUND_TOKEN_EXPIRATION }
          : {}),
      });
      request.context.audit?.annotate('authentication.kubernetes.io/issued-credential-id', credentialId);
      return objectResult(
        {
          kind: 'TokenRequest',
          apiVersion: 'authentication.k8s.io/v1',
          metadata: {
            name,
            namespace,
            creationTimestamp: formatTime(request.clock.now()),
          },
          spec: body.spec,
          status: { token, expirationTimestamp: formatTime(expiration) },
        },
        201,
      );
    },
  };
}

function checkIdentity(body: Draft<authenticationv1.TokenRequest>, namespace: string, name: string): void {
  const metadata = body.metadata as Draft<authenticationv1.TokenRequest>['metadata'] | undefined;
  if (metadata?.name && metadata.name !== name)
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  if (metadata?.namespace && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

function validate({ metadata, spec }: Draft<authenticationv1.TokenRequest>): void {
  const path = 'spec.expirationSeconds';
  const seconds = spec.expirationSeconds ?? DEFAULT_EXPIRATION;
  const wrong =
    seconds < MIN_EXPIRATION
      ? invalidValue(path, seconds, 'may not specify a duration less than 10 minutes')
      : seconds > MAX_EXPIRATION
        ? invalidValue(path, seconds, 'may not specify a duration larger than 2^32 seconds')
        : undefined;
  if (wrong !== undefined)
    throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, metadata.name ?? '', [wrong]);
}

type Bound = Pick<BoundToken, 'pod' | 'node' | 'secret'>;

async function boundObject(
  request: SpecialRequest,
  reference: Draft<authenticationv1.BoundObjectReference> | undefined,
): Promise<Bound> {
  if (reference === undefined) return {};
  const { registry, namespace, name: account } = request;
  const name = reference.name ?? '';
  const checked = async <T extends KubeObject>(type: ResourceType<T>, where: string): Promise<T> => {
    const object = await registry.get(type, where, name);
    if (reference.uid && reference.uid !== object.metadata.uid)
      throw conflict(
        { group: type.group, resource: type.kind },
        name,
        `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    return object;
  };
  switch (`${reference.apiVersion ?? ''}/${reference.kind ?? ''}`) {
    case 'v1/Pod': {
      const pod = await checked(corev1.pods, namespace);
      if (pod.spec.serviceAccountName !== account)
        throw badRequest(
          `cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with serviceaccount ${JSON.stringify(pod.spec.serviceAccountName ?? '')}`,
        );
      const node = pod.spec.nodeName ? await registry.find(corev1.nodes, '', pod.spec.nodeName) : undefined;
      return { pod: referenceTo(pod), ...(node === undefined ? {} : { node: referenceTo(node) }) };
    }
    case 'v1/Secret':
      return { secret: referenceTo(await checked(corev1.secrets, namespace)) };
    case 'v1/Node':
      return { node: referenceTo(await checked(corev1.nodes, '')) };
    default:
      throw badRequest(
        `cannot bind token to object of type ${reference.apiVersion ?? ''}, Kind=${reference.kind ?? ''}`,
      );
  }
}

/** Upstream's mark of a token that a pod mounts without asking for it. */
function isMountedToken(
  { spec }: Draft<authenticationv1.TokenRequest>,
  bound: Bound,
  apiAudiences: readonly string[],
): boolean {
  return (
    bound.pod !== undefined &&
    spec.expirationSeconds === WARN_ONLY_BOUND_TOKEN_EXPIRATION &&
    (spec.audiences ?? []).every((audience) => apiAudiences.includes(audience))
  );
}

function referenceTo({ metadata }: KubeObject): NamedReference {
  return { name: metadata.name ?? '', uid: metadata.uid ?? '' };
}
