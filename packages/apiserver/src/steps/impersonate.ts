import type { IncomingHttpHeaders } from 'node:http';
import { badRequest } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Decision } from '../authorization/contract.ts';
import type { PipelineStep } from '../request-pipeline.ts';
import type { RequestContext } from '../request/request-context.ts';
import { attributesOf } from './authorize.ts';
import { impersonatedUser } from './impersonation-modes.ts';

const USER = 'impersonate-user';
const GROUP = 'impersonate-group';
const UID = 'impersonate-uid';
const EXTRA_PREFIX = 'impersonate-extra-';

/** `Impersonate-*` headers (kubectl --as): the request goes on as somebody else, if who asks may do that. */
export function impersonateStep(
  authorize: (attributes: AuthorizationAttributes) => Decision | Promise<Decision>,
): PipelineStep {
  const modes: Parameters<typeof impersonatedUser>[3] = new Map();
  const impersonate = async (context: RequestContext): Promise<void> => {
    const wanted = wantedUser(context);
    // They are done with: a server that the request is passed on to must not follow them once more.
    const { headers } = context;
    for (const header of Object.keys(headers)) if (header.startsWith('impersonate-')) delete headers[header];
    if (wanted === undefined) return;
    const { user, constraint } = await impersonatedUser(wanted, attributesOf(context), authorize, modes);
    context.impersonator = context.user;
    context.user = user;
    context.audit?.impersonated(user, constraint);
  };
  return {
    name: 'impersonate',
    run(context) {
      const { headers } = context;
      if (headers[USER] === undefined && !asksWithoutUser(headers)) return;
      return impersonate(context);
    },
  };
}

function asksWithoutUser(headers: IncomingHttpHeaders): boolean {
  if (headers[GROUP] !== undefined || headers[UID] !== undefined) return true;
  for (const name in headers) if (name.startsWith(EXTRA_PREFIX)) return true;
  return false;
}

/** As the headers say it, nothing added. Undefined where they are all empty. */
function wantedUser({ headers, init }: RequestContext): UserInfo | undefined {
  const name = valuesOf(USER, headers, init.rawHeaders)[0] ?? '';
  const uid = valuesOf(UID, headers, init.rawHeaders)[0] ?? '';
  const groups = valuesOf(GROUP, headers, init.rawHeaders);
  const found = new Map<string, readonly string[]>();
  for (const header in headers) {
    if (!header.startsWith(EXTRA_PREFIX)) continue;
    const key = unescaped(header.slice(EXTRA_PREFIX.length));
    // Two headers may be one key, written with and without escapes.
    found.set(key, [...(found.get(key) ?? []), ...valuesOf(header, headers, init.rawHeaders)]);
  }
  const extra = Object.fromEntries(found);
  if (name !== '') return { name, uid, groups, extra };
  if (uid === '' && groups.length === 0 && Object.keys(extra).length === 0) return undefined;
  throw badRequest(
    `requested &user.DefaultInfo{Name:"", UID:${JSON.stringify(uid)}, Groups:${goList(groups)}, Extra:${goMap(extra)}} without impersonating a user name`,
  );
}

/** Node joins repeated headers with a comma, which a group may hold; as they came, they are apart. */
function valuesOf(
  name: string,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[] | undefined,
): readonly string[] {
  if (rawHeaders === undefined) {
    const value = headers[name];
    return value === undefined ? [] : [value].flat();
  }
  const found: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    if ((rawHeaders[at] as string).toLowerCase() === name) found.push(rawHeaders[at + 1] as string);
  return found;
}

function goList(texts: readonly string[]): string {
  return texts.length === 0
    ? '[]string(nil)'
    : `[]string{${texts.map((text) => JSON.stringify(text)).join(', ')}}`;
}

function goMap(extra: Readonly<Record<string, readonly string[]>>): string {
  const entries = Object.entries(extra);
  return entries.length === 0
    ? 'map[string][]string(nil)'
    : `map[string][]string{${entries.map(([key, values]) => `${JSON.stringify(key)}:${goList(values)}`).join(', ')}}`;
}

function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
