import type { authorizationv1, Draft } from '@k8ts/api';
import { invalid, invalidValue, required } from '@k8ts/apimachinery';
import type { FieldError } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Decision, RuleResolver } from '../authorization/contract.ts';
import { objectResult } from '../request/result.ts';
import type { SpecialHandler, SpecialRequest } from '../registry/special-subresources.ts';

/** The reviews of group authorization.k8s.io: who may do what. */
export function accessReviewHandlers(rules: RuleResolver): readonly SpecialHandler[] {
  return [
    review('subjectaccessreviews', 'SubjectAccessReview', async (request) => {
      const body = await request.readBody<authorizationv1.SubjectAccessReview>();
      check('SubjectAccessReview', [...subjectErrors(body.spec), ...attributeErrors(body.spec)]);
      return answer(request, body, subjectOf(body.spec));
    }),

    review('localsubjectaccessreviews', 'LocalSubjectAccessReview', async (request) => {
      const body = await request.readBody<authorizationv1.LocalSubjectAccessReview>();
      const namespace = body.spec.resourceAttributes?.namespace ?? '';
      check('LocalSubjectAccessReview', [
        ...subjectErrors(body.spec),
        ...attributeErrors(body.spec),
        ...(namespace === request.namespace
          ? []
          : [invalidValue('spec.resourceAttributes.namespace', namespace, 'must match metadata.namespace')]),
      ]);
      return answer(request, body, subjectOf(body.spec));
    }),

    review('selfsubjectaccessreviews', 'SelfSubjectAccessReview', async (request) => {
      const body = await request.readBody<authorizationv1.SelfSubjectAccessReview>();
      check('SelfSubjectAccessReview', attributeErrors(body.spec));
      return answer(request, body, request.user);
    }),

    review('selfsubjectrulesreviews', 'SelfSubjectRulesReview', async (request) => {
      const body = await request.readBody<authorizationv1.SelfSubjectRulesReview>();
      const namespace = body.spec.namespace ?? '';
      if (namespace === '') check('SelfSubjectRulesReview', [required('spec.namespace', '')]);
      return { ...body, status: await rules.rulesFor(request.user, namespace) };
    }),
  ];
}

function review(
  resource: string,
  kind: string,
  make: (request: SpecialRequest) => Promise<object>,
): SpecialHandler {
  return {
    group: 'authorization.k8s.io',
    resource,
    subresource: '',
    async handle(request) {
      const body = await make(request);
      return objectResult({ kind, apiVersion: 'authorization.k8s.io/v1', ...body }, 201);
    },
  };
}

type Spec = Draft<
  Pick<authorizationv1.SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>
>;

function check(kind: string, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: 'authorization.k8s.io', kind }, '', errors);
}

function subjectErrors({ user, groups }: Draft<authorizationv1.SubjectAccessReviewSpec>): FieldError[] {
  return user || (groups ?? []).length > 0
    ? []
    : [required('spec.user', 'at least one of user or group must be specified')];
}

function attributeErrors({ resourceAttributes, nonResourceAttributes }: Spec): FieldError[] {
  if (resourceAttributes !== undefined && nonResourceAttributes !== undefined)
    return [
      invalidValue(
        'spec.nonResourceAttributes',
        nonResourceAttributes,
        'cannot be specified in combination with resourceAttributes',
      ),
    ];
  if (resourceAttributes === undefined && nonResourceAttributes === undefined)
    return [
      invalidValue(
        'spec.resourceAttributes',
        null,
        'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      ),
    ];
  return [];
}

function subjectOf(spec: Draft<authorizationv1.SubjectAccessReviewSpec>): UserInfo {
  return { name: spec.user ?? '', uid: spec.uid ?? '', groups: spec.groups ?? [], extra: spec.extra ?? {} };
}

async function answer<T extends { spec: Spec }>(
  request: SpecialRequest,
  body: T,
  user: UserInfo,
): Promise<T & { status: authorizationv1.SubjectAccessReviewStatus }> {
  const decision = await request.authorize(attributesOf(body.spec, user));
  return { ...body, status: statusOf(decision) };
}

function attributesOf(
  { resourceAttributes, nonResourceAttributes }: Spec,
  user: UserInfo,
): AuthorizationAttributes {
  return {
    user,
    verb: resourceAttributes?.verb ?? nonResourceAttributes?.verb ?? '',
    isResourceRequest: resourceAttributes !== undefined,
    apiGroup: resourceAttributes?.group ?? '',
    apiVersion: resourceAttributes?.version ?? '',
    resource: resourceAttributes?.resource ?? '',
    subresource: resourceAttributes?.subresource ?? '',
    namespace: resourceAttributes?.namespace ?? '',
    name: resourceAttributes?.name ?? '',
    path: nonResourceAttributes?.path ?? '',
  };
}

function statusOf({ verdict, reason }: Decision): authorizationv1.SubjectAccessReviewStatus {
  return {
    allowed: verdict === 'allow',
    ...(verdict === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
  };
}
