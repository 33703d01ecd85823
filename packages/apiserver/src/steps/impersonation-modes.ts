/**
 * Who may act as whom (k8s.io/apiserver/pkg/endpoints/filters/impersonation, KEP-5284). A mode of constrained
 * impersonation needs two permissions: `impersonate:MODE` for each part of the wanted identity, and
 * `impersonate-on:MODE:VERB` for what is done with it. The verb `impersonate` alone, as it has always been, is tried last.
 */
import { aggregateText, fieldErrorText, goQuote, isDNS1123Subdomain } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import { domainPrefixedPathErrors } from '../authentication/jwt/validation.ts';
import { NODE_NAME_EXTRA, parseServiceAccountUserName } from '../authentication/well-known-users.ts';
import type { AuthorizationAttributes, Decision } from '../authorization/contract.ts';
import { forbiddenRequest } from './authorize.ts';

type Authorize = (attributes: AuthorizationAttributes) => Decision | Promise<Decision>;

interface ImpersonationMode {
  readonly name: 'associated-node' | 'arbitrary-node' | 'serviceaccount' | 'user-info' | 'legacy';
  /** Whether the mode is for such a wish at all. */
  applies(wanted: UserInfo, requestor: UserInfo): boolean;
}

/** In the order in which they are tried. */
const MODES: readonly ImpersonationMode[] = [
  {
    name: 'associated-node',
    applies: (wanted, requestor) => {
      const node = nodeOf(wanted.name);
      return (
        node !== undefined &&
        isNameOnly(wanted) &&
        parseServiceAccountUserName(requestor.name) !== undefined &&
        requestor.extra[NODE_NAME_EXTRA]?.length === 1 &&
        requestor.extra[NODE_NAME_EXTRA][0] === node
      );
    },
  },
  {
    name: 'arbitrary-node',
    applies: (wanted) => nodeOf(wanted.name) !== undefined && isNameOnly(wanted),
  },
  {
    name: 'serviceaccount',
    applies: (wanted) => parseServiceAccountUserName(wanted.name) !== undefined && isNameOnly(wanted),
  },
  {
    name: 'user-info',
    applies: ({ name }) => nodeOf(name) === undefined && parseServiceAccountUserName(name) === undefined,
  },
  { name: 'legacy', applies: () => true },
];

export interface Impersonated {
  readonly user: UserInfo;
  /** `impersonate:MODE`; empty for the old way. */
  readonly constraint: string;
}

/**
 * The identity that the requestor may take. Throws 403 in the words of the first mode that applies. `modes` remembers
 * which one a requestor used last, so that the usual way costs what it always has.
 */
export async function impersonatedUser(
  wanted: UserInfo,
  request: AuthorizationAttributes,
  authorize: Authorize,
  modes: Map<string, ImpersonationMode['name']>,
): Promise<Impersonated> {
  const requestor = request.user;
  const last = modes.get(requestor.name);
  const ordered = last === undefined ? MODES : [...MODES].sort((a, b) => order(a, last) - order(b, last));
  let refusal: unknown;
  for (const mode of ordered) {
    if (!mode.applies(wanted, requestor)) continue;
    try {
      const user =
        mode.name === 'legacy'
          ? await checkIdentity(wanted, requestor, 'legacy', authorize)
          : await checkConstrained(mode.name, wanted, request, authorize);
      remember(modes, requestor.name, mode.name);
      return { user, constraint: mode.name === 'legacy' ? '' : `impersonate:${mode.name}` };
    } catch (error) {
      refusal ??= error;
    }
  }
  throw refusal as Error;
}

function order(mode: ImpersonationMode, last: ImpersonationMode['name']): number {
  return mode.name === last ? -1 : MODES.indexOf(mode);
}

const MAX_REMEMBERED = 10_000;

function remember(
  modes: Map<string, ImpersonationMode['name']>,
  name: string,
  mode: ImpersonationMode['name'],
): void {
  if (modes.size >= MAX_REMEMBERED && !modes.has(name)) modes.clear();
  modes.set(name, mode);
}

async function checkConstrained(
  mode: Exclude<ImpersonationMode['name'], 'legacy'>,
  wanted: UserInfo,
  request: AuthorizationAttributes,
  authorize: Authorize,
): Promise<UserInfo> {
  const requestor = mode === 'associated-node' ? withoutExtra(request.user) : request.user;
  await mustBeAllowed(
    { ...request, user: requestor, verb: `impersonate-on:${mode}:${request.verb}` },
    authorize,
  );
  return checkIdentity(wanted, requestor, mode, authorize);
}

/** That it stands on its node was checked; who stands on another must get the same answer. */
function withoutExtra(user: UserInfo): UserInfo {
  const keys = Object.keys(user.extra).sort();
  return { ...user, extra: { 'authentication.kubernetes.io/associated-node-keys': keys } };
}

/** From so many on, one permission for all of them is asked for first. */
const MANY = 4;
const AUTHENTICATION = 'authentication.k8s.io';

async function checkIdentity(
  wanted: UserInfo,
  requestor: UserInfo,
  mode: ImpersonationMode['name'],
  authorize: Authorize,
): Promise<UserInfo> {
  const isConstrained = mode !== 'legacy';
  const question = (
    group: string,
    resource: string,
    name: string,
    { namespace = '', subresource = '' } = {},
  ): AuthorizationAttributes => ({
    user: requestor,
    verb: isConstrained ? `impersonate:${mode}` : 'impersonate',
    isResourceRequest: true,
    apiGroup: group,
    apiVersion: 'v1',
    resource,
    subresource,
    namespace,
    name,
    path: '',
  });
  const ask = (asked: AuthorizationAttributes): Promise<void> => mustBeAllowed(asked, authorize);
  // The old way asks for users and groups of the core group.
  const identities = isConstrained ? AUTHENTICATION : '';

  const node = isConstrained ? nodeOf(wanted.name) : undefined;
  const account = parseServiceAccountUserName(wanted.name);
  let { groups } = wanted;
  if (node !== undefined) {
    groups = ['system:nodes'];
    // The answer must be good for any node, since which one it is was checked.
    await ask(question(identities, 'nodes', mode === 'associated-node' ? '*' : node));
  } else if (account !== undefined) {
    const { namespace, name } = account;
    if (groups.length === 0) groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
    await ask(question(identities, 'serviceaccounts', name, { namespace }));
  } else await ask(question(identities, 'users', wanted.name));
  if (wanted.uid !== '') await ask(question(AUTHENTICATION, 'uids', wanted.uid));
  await askGroups();
  await askExtra();
  return { ...wanted, groups: withOriginGroup(wanted.name, groups) };

  async function askGroups(): Promise<void> {
    if (isConstrained && wanted.groups.includes(''))
      throw forbiddenRequest(
        question(identities, 'groups', ''),
        'impersonating the empty string group is not allowed',
      );
    if (isConstrained && wanted.groups.includes('system:masters'))
      throw forbiddenRequest(
        question(identities, 'groups', 'system:masters'),
        'impersonating the system:masters group is not allowed',
      );
    const isMany = isConstrained && wanted.groups.length >= MANY;
    if (isMany && (await isAllowed(question(identities, 'groups', '*'), authorize))) return;
    for (const group of wanted.groups) await ask(question(identities, 'groups', group));
  }

  async function askExtra(): Promise<void> {
    const extra = Object.entries(wanted.extra);
    if (isConstrained) {
      const wrong = extra.map(([key, values]) => extraProblem(key, values)).find(Boolean);
      if (wrong !== undefined) throw forbiddenRequest(question(AUTHENTICATION, 'userextras', ''), wrong);
      const count = extra.reduce((sum, [, values]) => sum + values.length, 0);
      const all = question(AUTHENTICATION, 'userextras', '*', { subresource: '*' });
      if ((extra.length >= MANY || count >= MANY) && (await isAllowed(all, authorize))) return;
    }
    for (const [key, values] of extra)
      for (const value of values)
        await ask(question(AUTHENTICATION, 'userextras', value, { subresource: key }));
  }
}

function extraProblem(key: string, values: readonly string[]): string | undefined {
  if (key === '') return 'impersonating the empty string key in extra is not allowed';
  const errors = domainPrefixedPathErrors(key, 'extra.key');
  if (errors.length > 0)
    return `impersonating an invalid key in extra is not allowed: ${aggregateText(errors.map(fieldErrorText))}`;
  if (key !== key.toLowerCase())
    return `impersonating a non-lowercase key in extra is not allowed: ${goQuote(key)}`;
  if (values.length === 0) return 'impersonating empty values in extra is not allowed';
  return values.includes('') ? 'impersonating the empty string value in extra is not allowed' : undefined;
}

function withOriginGroup(name: string, groups: readonly string[]): readonly string[] {
  const isUnauthenticated = groups.includes('system:unauthenticated');
  if (name === 'system:anonymous') return isUnauthenticated ? groups : [...groups, 'system:unauthenticated'];
  return isUnauthenticated || groups.includes('system:authenticated')
    ? groups
    : [...groups, 'system:authenticated'];
}

async function isAllowed(attributes: AuthorizationAttributes, authorize: Authorize): Promise<boolean> {
  return (await authorize(attributes)).verdict === 'allow';
}

/** Unlike requests, impersonation is forbidden too where an authorizer could not judge. */
async function mustBeAllowed(attributes: AuthorizationAttributes, authorize: Authorize): Promise<void> {
  const { verdict, reason, error } = await authorize(attributes);
  if (verdict === 'allow') return;
  throw forbiddenRequest(
    attributes,
    [error, reason].filter((text) => text !== undefined && text !== '').join(': '),
  );
}

function isNameOnly({ uid, groups, extra }: UserInfo): boolean {
  return uid === '' && groups.length === 0 && Object.keys(extra).length === 0;
}

const NODE_PREFIX = 'system:node:';

function nodeOf(user: string): string | undefined {
  if (!user.startsWith(NODE_PREFIX)) return undefined;
  const name = user.slice(NODE_PREFIX.length);
  return isDNS1123Subdomain(name).length === 0 ? name : undefined;
}
