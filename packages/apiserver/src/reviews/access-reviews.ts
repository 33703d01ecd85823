import type { authorizationv1, Draft, KubeObject } from '@k8ts/api';
import { badRequest, invalid, type FieldError } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { AuthorizationAttributes, Decision, RuleResolver } from '../authorization/contract.ts';
import { selectorsOfReview } from '../authorization/selectors.ts';
import { objectResult } from '../request/result.ts';
import type { SpecialHandler, SpecialRequest } from '../registry/special-subresources.ts';
import {
  validateLocalSubjectAccessReview,
  validateSelfSubjectAccessReview,
  validateSubjectAccessReview,
} from './access-review-validation.ts';

/** The reviews of group authorization.k8s.io: who may do what. */
export function accessReviewHandlers(rules: RuleResolver): readonly SpecialHandler[] {
  return [
    review('subjectaccessreviews', 'SubjectAccessReview', async (request) => {
      const body = await request.readBody<authorizationv1.SubjectAccessReview>();
      check('SubjectAccessReview', validateSubjectAccessReview(body));
      return answer(request, body, subjectOf(body.spec));
    }),

    review('localsubjectaccessreviews', 'LocalSubjectAccessReview', async (request) => {
      const body = await request.readBody<authorizationv1.LocalSubjectAccessReview>();
      check('LocalSubjectAccessReview', validateLocalSubjectAccessReview(body, request.namespace));
      return answer(request, body, subjectOf(body.spec));
    }),

    review('selfsubjectaccessreviews', 'SelfSubjectAccessReview', async (request) => {
      const body = await request.readBody<authorizationv1.SelfSubjectAccessReview>();
      check('SelfSubjectAccessReview', validateSelfSubjectAccessReview(body));
      return answer(request, body, request.user);
    }),

    review('selfsubjectrulesreviews', 'SelfSubjectRulesReview', async (request) => {
      const body = await request.readBody<authorizationv1.SelfSubjectRulesReview>();
      const namespace = body.spec.namespace ?? '';
      if (namespace === '') throw badRequest('no namespace on request');
      await request.admitCreate(body);
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

function check(kind: string, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: 'authorization.k8s.io', kind }, '', errors);
}

function subjectOf(spec: Draft<authorizationv1.SubjectAccessReviewSpec>): UserInfo {
  return { name: spec.user ?? '', uid: spec.uid ?? '', groups: spec.groups ?? [], extra: spec.extra ?? {} };
}

type Spec = Draft<
  Pick<authorizationv1.SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>
>;

async function answer<T extends { spec: Spec }>(
  request: SpecialRequest,
  body: T,
  user: UserInfo,
): Promise<T & { status: authorizationv1.SubjectAccessReviewStatus }> {
  await request.admitCreate(body as unknown as Draft<KubeObject>);
  const attributes = attributesOf(body.spec, user);
  const decision = await request.authorize(attributes);
  return { ...body, status: statusOf(attributes, decision) };
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
    apiVersion: resourceAttributes === undefined ? '' : resourceAttributes.version || '*',
    resource: resourceAttributes?.resource ?? '',
    subresource: resourceAttributes?.subresource ?? '',
    namespace: resourceAttributes?.namespace ?? '',
    name: resourceAttributes?.name ?? '',
    path: nonResourceAttributes?.path ?? '',
    ...(resourceAttributes === undefined ? {} : selectorsOfReview(resourceAttributes)),
  };
}

function statusOf(
  attributes: AuthorizationAttributes,
  { verdict, reason, error }: Decision,
): authorizationv1.SubjectAccessReviewStatus {
  const errors = [
    ...(error === undefined ? [] : [error]),
    ...ignoredPart('fieldSelector', attributes),
    ...ignoredPart('labelSelector', attributes),
  ];
  return {
    allowed: verdict === 'allow',
    ...(verdict === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
    ...(errors.length === 0 ? {} : { evaluationError: errors.join('; ') }),
  };
}

function ignoredPart(name: 'fieldSelector' | 'labelSelector', attributes: AuthorizationAttributes): string[] {
  const selector = attributes[name];
  if (selector?.error === undefined) return [];
  const extent = selector.requirements.length > 0 ? 'partially ignored' : 'ignored';
  return [`spec.resourceAttributes.${name} ${extent} due to parse error`];
}
