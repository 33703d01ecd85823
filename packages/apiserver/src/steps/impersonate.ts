import { badRequest } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Decision } from '../authorization/contract.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';
import { check } from './authorize.ts';

const EXTRA_PREFIX = 'impersonate-extra-';
const SERVICE_ACCOUNT = 'system:serviceaccount:';

/** `Impersonate-*` headers (kubectl --as): each part of the wanted identity needs the `impersonate` permission of its own. */
export function impersonateStep(
  authorize: (attributes: AuthorizationAttributes) => Decision | Promise<Decision>,
): PipelineStep {
  return {
    name: 'impersonate',
    run(context) {
      const { headers } = context;
      if (headers['impersonate-user'] === undefined && !asksWithoutUser(context)) return;
      return impersonate(context, authorize);
    },
  };
}

function asksWithoutUser({ headers }: RequestContext): boolean {
  if (headers['impersonate-group'] !== undefined || headers['impersonate-uid'] !== undefined) return true;
  for (const name in headers) if (name.startsWith(EXTRA_PREFIX)) return true;
  return false;
}

async function impersonate(
  context: RequestContext,
  authorize: (attributes: AuthorizationAttributes) => Decision | Promise<Decision>,
): Promise<void> {
  const { headers } = context;
  const name = single(headers['impersonate-user']);
  const groups = values(headers['impersonate-group']);
  const uid = single(headers['impersonate-uid']) ?? '';
  const extra: Record<string, readonly string[]> = {};
  for (const header in headers) {
    if (!header.startsWith(EXTRA_PREFIX)) continue;
    extra[unescaped(header.slice(EXTRA_PREFIX.length))] = values(headers[header]);
  }
  if (name === undefined || name === '')
    throw badRequest('requested impersonation of groups, uid or extra without impersonating a user');

  const ask = async (
    group: string,
    resource: string,
    target: string,
    namespace = '',
    subresource = '',
  ): Promise<void> => {
    const attributes: AuthorizationAttributes = {
      user: context.user,
      verb: 'impersonate',
      isResourceRequest: true,
      apiGroup: group,
      apiVersion: group === '' ? '' : 'v1',
      resource,
      subresource,
      namespace,
      name: target,
      path: '',
    };
    check(attributes, await authorize(attributes));
  };

  const account = serviceAccount(name);
  if (account === undefined) await ask('', 'users', name);
  else await ask('', 'serviceaccounts', account.name, account.namespace);
  for (const group of groups) await ask('', 'groups', group);
  if (uid !== '') await ask('authentication.k8s.io', 'uids', uid);
  for (const [key, wanted] of Object.entries(extra))
    for (const value of wanted) await ask('authentication.k8s.io', 'userextras', value, '', key);

  context.impersonator = context.user;
  context.user = identity(name, uid, groups, extra, account);
  context.audit?.impersonated(context.user);
  // They are done with: a server that the request is passed on to must not follow them once more.
  for (const header of Object.keys(headers)) if (header.startsWith('impersonate-')) delete headers[header];
}

function identity(
  name: string,
  uid: string,
  wanted: readonly string[],
  extra: Readonly<Record<string, readonly string[]>>,
  account: { readonly namespace: string } | undefined,
): UserInfo {
  let groups = wanted;
  if (groups.length === 0 && account !== undefined)
    groups = ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`];
  if (name === 'system:anonymous') {
    if (!groups.includes('system:unauthenticated')) groups = [...groups, 'system:unauthenticated'];
  } else if (!groups.includes('system:authenticated') && !groups.includes('system:unauthenticated'))
    groups = [...groups, 'system:authenticated'];
  return { name, uid, groups, extra };
}

function serviceAccount(name: string): { readonly namespace: string; readonly name: string } | undefined {
  if (!name.startsWith(SERVICE_ACCOUNT)) return undefined;
  const [namespace, account, ...rest] = name.slice(SERVICE_ACCOUNT.length).split(':');
  if (!namespace || !account || rest.length > 0) return undefined;
  return { namespace, name: account };
}

function single(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
}

/** Node joins repeated headers of other names with a comma and a space; groups hold neither. */
function values(header: string | readonly string[] | undefined): string[] {
  if (header === undefined) return [];
  return typeof header === 'string' ? header.split(', ') : [...header];
}

function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
