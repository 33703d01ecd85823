/** Kubernetes' library of authorization checks (k8s.io/apiserver/pkg/cel/library/authz.go). */
import { isDNS1123Label, isDNS1123Subdomain } from '../../validation/names.ts';
import { declareFunction, memberOverload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { BOOL, objectType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { CelError, CelOpaque } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

/** What an expression asks. */
export interface CelAuthorizationQuery {
  /** Absent: who made the request. */
  readonly serviceAccount?: { readonly namespace: string; readonly name: string };
  readonly verb: string;
  /** Absent: `path` is asked for. */
  readonly resource?: CelResourceQuery;
  readonly path?: string;
}

export interface CelResourceQuery {
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}

export interface CelAuthorizationDecision {
  readonly allowed: boolean;
  readonly reason: string;
  readonly error?: string;
}

export type CelAuthorize = (query: CelAuthorizationQuery) => CelAuthorizationDecision;

export const AUTHORIZER_TYPE: CelType = objectType('kubernetes.authorization.Authorizer');
export const RESOURCE_CHECK_TYPE: CelType = objectType('kubernetes.authorization.ResourceCheck');
const PATH_CHECK_TYPE: CelType = objectType('kubernetes.authorization.PathCheck');
const GROUP_CHECK_TYPE: CelType = objectType('kubernetes.authorization.GroupCheck');
const DECISION_TYPE: CelType = objectType('kubernetes.authorization.Decision');

export const AUTHORIZATION_TYPES: readonly CelType[] = [
  AUTHORIZER_TYPE,
  RESOURCE_CHECK_TYPE,
  PATH_CHECK_TYPE,
  GROUP_CHECK_TYPE,
  DECISION_TYPE,
];

/** Without fields: only its functions can be used. */
abstract class Receiver extends CelOpaque {
  override equals(other: CelValue): boolean {
    return this === other;
  }

  override toText(): string {
    return this.type.name;
  }
}

export class Authorizer extends Receiver {
  readonly authorize: CelAuthorize;
  readonly serviceAccount: CelAuthorizationQuery['serviceAccount'];

  constructor(authorize: CelAuthorize, serviceAccount?: CelAuthorizationQuery['serviceAccount']) {
    super();
    this.authorize = authorize;
    this.serviceAccount = serviceAccount;
  }

  override get type(): CelType {
    return AUTHORIZER_TYPE;
  }

  decide(query: CelAuthorizationQuery): Decision {
    const { serviceAccount } = this;
    return new Decision(this.authorize(serviceAccount === undefined ? query : { ...query, serviceAccount }));
  }
}

class PathCheck extends Receiver {
  readonly authorizer: Authorizer;
  readonly path: string;

  constructor(authorizer: Authorizer, path: string) {
    super();
    this.authorizer = authorizer;
    this.path = path;
  }

  override get type(): CelType {
    return PATH_CHECK_TYPE;
  }
}

class GroupCheck extends Receiver {
  readonly authorizer: Authorizer;
  readonly group: string;

  constructor(authorizer: Authorizer, group: string) {
    super();
    this.authorizer = authorizer;
    this.group = group;
  }

  override get type(): CelType {
    return GROUP_CHECK_TYPE;
  }
}

export class ResourceCheck extends Receiver {
  readonly authorizer: Authorizer;
  readonly query: CelResourceQuery;

  constructor(authorizer: Authorizer, query: CelResourceQuery) {
    super();
    this.authorizer = authorizer;
    this.query = query;
  }

  override get type(): CelType {
    return RESOURCE_CHECK_TYPE;
  }

  with(change: Partial<CelResourceQuery>): ResourceCheck {
    return new ResourceCheck(this.authorizer, { ...this.query, ...change });
  }
}

class Decision extends Receiver {
  readonly decision: CelAuthorizationDecision;

  constructor(decision: CelAuthorizationDecision) {
    super();
    this.decision = decision;
  }

  override get type(): CelType {
    return DECISION_TYPE;
  }
}

function serviceAccount(authorizer: Authorizer, namespace: string, name: string): CelResult {
  if (isDNS1123Subdomain(name).length > 0) return new CelError('Invalid service account name');
  if (isDNS1123Label(namespace).length > 0) return new CelError('Invalid service account namespace');
  return new Authorizer(authorizer.authorize, { namespace, name });
}

function refined(name: string, id: string, field: keyof CelResourceQuery): FunctionDeclaration {
  return declareFunction(
    name,
    memberOverload(
      id,
      [RESOURCE_CHECK_TYPE, STRING],
      RESOURCE_CHECK_TYPE,
      (check: ResourceCheck, value: string) => check.with({ [field]: value }),
    ),
  );
}

function told(
  name: string,
  type: CelType,
  tell: (decision: CelAuthorizationDecision) => CelResult,
): FunctionDeclaration {
  return declareFunction(
    name,
    memberOverload(`decision_${name}`, [DECISION_TYPE], type, ({ decision }: Decision) => tell(decision)),
  );
}

export const AUTHORIZER_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'path',
    memberOverload(
      'authorizer_path',
      [AUTHORIZER_TYPE, STRING],
      PATH_CHECK_TYPE,
      (a: Authorizer, path: string) =>
        path.trim() === '' ? new CelError('path must not be empty') : new PathCheck(a, path),
    ),
  ),
  declareFunction(
    'group',
    memberOverload(
      'authorizer_group',
      [AUTHORIZER_TYPE, STRING],
      GROUP_CHECK_TYPE,
      (a: Authorizer, group: string) => new GroupCheck(a, group),
    ),
  ),
  declareFunction(
    'serviceAccount',
    memberOverload(
      'authorizer_serviceaccount',
      [AUTHORIZER_TYPE, STRING, STRING],
      AUTHORIZER_TYPE,
      serviceAccount,
    ),
  ),
  declareFunction(
    'resource',
    memberOverload(
      'groupcheck_resource',
      [GROUP_CHECK_TYPE, STRING],
      RESOURCE_CHECK_TYPE,
      ({ authorizer, group }: GroupCheck, resource: string) =>
        resource.trim() === ''
          ? new CelError('resource must not be empty')
          : new ResourceCheck(authorizer, { group, resource, subresource: '', namespace: '', name: '' }),
    ),
  ),
  refined('subresource', 'resourcecheck_subresource', 'subresource'),
  refined('namespace', 'resourcecheck_namespace', 'namespace'),
  refined('name', 'resourcecheck_name', 'name'),
  refined('fieldSelector', 'authorizer_fieldselector', 'fieldSelector'),
  refined('labelSelector', 'authorizer_labelselector', 'labelSelector'),
  declareFunction(
    'check',
    memberOverload(
      'pathcheck_check',
      [PATH_CHECK_TYPE, STRING],
      DECISION_TYPE,
      ({ authorizer, path }: PathCheck, verb: string) => authorizer.decide({ verb, path }),
    ),
    memberOverload(
      'resourcecheck_check',
      [RESOURCE_CHECK_TYPE, STRING],
      DECISION_TYPE,
      ({ authorizer, query }: ResourceCheck, verb: string) => authorizer.decide({ verb, resource: query }),
    ),
  ),
  told('errored', BOOL, ({ error }) => error !== undefined),
  told('error', STRING, ({ error }) => error ?? ''),
  told('allowed', BOOL, ({ allowed }) => allowed),
  told('reason', STRING, ({ reason }) => reason),
];
