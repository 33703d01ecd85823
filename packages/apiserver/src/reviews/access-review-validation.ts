/** What is wrong with an access review (k8s.io/kubernetes/pkg/apis/authorization/validation). */
import type { authorizationv1, Draft, metav1 } from '@k8ts/api';
import {
  child,
  forbiddenField,
  index,
  invalidValue,
  isValidLabelValue,
  required,
  validateLabelName,
  type FieldError,
} from '@k8ts/apimachinery';

type Attributes = Draft<
  Pick<authorizationv1.SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>
>;

export function validateSubjectAccessReview(review: {
  readonly metadata?: object;
  readonly spec: Draft<authorizationv1.SubjectAccessReviewSpec>;
}): FieldError[] {
  const { user = '', groups = [] } = review.spec;
  return [
    ...validateOneKind(review.spec),
    ...(user === '' && groups.length === 0
      ? [invalidValue('spec.user', user, 'at least one of user or group must be specified')]
      : []),
    ...validateResourceAttributes(review.spec.resourceAttributes),
    ...validateMetadata(review.metadata, 'must be empty'),
  ];
}

export function validateSelfSubjectAccessReview(review: {
  readonly metadata?: object;
  readonly spec: Attributes;
}): FieldError[] {
  return [
    ...validateOneKind(review.spec),
    ...validateResourceAttributes(review.spec.resourceAttributes),
    ...validateMetadata(review.metadata, 'must be empty'),
  ];
}

/** `namespace`: the one of the path. */
export function validateLocalSubjectAccessReview(
  review: { readonly metadata?: object; readonly spec: Draft<authorizationv1.SubjectAccessReviewSpec> },
  namespace: string,
): FieldError[] {
  const { resourceAttributes, nonResourceAttributes } = review.spec;
  const { namespace: _namespace, ...metadata } = (review.metadata ?? {}) as { readonly namespace?: string };
  const asked = resourceAttributes?.namespace ?? '';
  return [
    ...validateSubjectAccessReview({ spec: review.spec }),
    ...validateMetadata(metadata, 'must be empty except for namespace'),
    ...(resourceAttributes !== undefined && asked !== namespace
      ? [invalidValue('spec.resourceAttributes.namespace', asked, 'must match metadata.namespace')]
      : []),
    ...(nonResourceAttributes === undefined
      ? []
      : [
          invalidValue(
            'spec.nonResourceAttributes',
            nonResourceAttributes,
            'disallowed on this kind of request',
          ),
        ]),
  ];
}

function validateMetadata(metadata: object | undefined, detail: string): FieldError[] {
  const { managedFields: _managedFields, ...own } = (metadata ?? {}) as Record<string, unknown>;
  const isEmpty = Object.values(own).every(
    (value) => value === undefined || value === null || value === '' || isEmptyObject(value),
  );
  return isEmpty ? [] : [invalidValue('metadata', metadata, detail)];
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function validateOneKind({ resourceAttributes, nonResourceAttributes }: Attributes): FieldError[] {
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

function validateResourceAttributes(attributes: Attributes['resourceAttributes']): FieldError[] {
  const fields = attributes?.fieldSelector;
  const labels = attributes?.labelSelector;
  const at = 'spec.resourceAttributes';
  return [
    ...(fields === undefined ? [] : validateSelector(fields, child(at, 'fieldSelector'), fieldKeyErrors)),
    ...(labels === undefined ? [] : validateSelector(labels, child(at, 'labelSelector'), labelKeyErrors)),
  ];
}

interface Requirement {
  readonly key?: string;
  readonly operator?: string;
  readonly values?: readonly string[];
}

function validateSelector(
  { rawSelector = '', requirements = [] }: { rawSelector?: string; requirements?: readonly Requirement[] },
  path: string,
  keyErrors: (requirement: Requirement, path: string) => FieldError[],
): FieldError[] {
  const errors: FieldError[] = [];
  if (rawSelector !== '' && requirements.length > 0)
    errors.push(
      invalidValue(
        child(path, 'rawSelector'),
        rawSelector,
        'may not specified at the same time as requirements',
      ),
    );
  if (rawSelector === '' && requirements.length === 0)
    errors.push(
      required(
        child(path, 'requirements'),
        `when ${path} is specified, requirements or rawSelector is required`,
      ),
    );
  for (const [position, requirement] of requirements.entries()) {
    const at = index(child(path, 'requirements'), position);
    errors.push(...keyErrors(requirement, at));
  }
  return errors;
}

function fieldKeyErrors(requirement: Requirement, path: string): FieldError[] {
  return [
    ...(requirement.key ? [] : [required(child(path, 'key'), 'must be specified')]),
    ...valueErrors(requirement, path),
  ];
}

function labelKeyErrors(requirement: Requirement, path: string): FieldError[] {
  return [
    ...valueErrors(requirement, path),
    ...validateLabelName(requirement.key ?? '', child(path, 'key')),
    ...(requirement.values ?? []).flatMap((value, position) =>
      isValidLabelValue(value).map((message) =>
        invalidValue(index(child(path, 'values'), position), value, message),
      ),
    ),
  ];
}

/** Operators that are not known here may be those of newer clients. */
function valueErrors({ operator, values = [] }: Requirement, path: string): FieldError[] {
  const at = child(path, 'values');
  switch (operator as metav1.LabelSelectorRequirement['operator'] | undefined) {
    case 'In':
    case 'NotIn':
      return values.length > 0 ? [] : [required(at, "must be specified when `operator` is 'In' or 'NotIn'")];
    case 'Exists':
    case 'DoesNotExist':
      return values.length === 0
        ? []
        : [forbiddenField(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")];
    default:
      return [];
  }
}
