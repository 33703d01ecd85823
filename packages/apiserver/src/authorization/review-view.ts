import type { authorizationv1 } from '@k8ts/api';
import type { JsonObject } from '@k8ts/apimachinery';

/** A review's spec for expressions: every text and list is there, empty or not. */
export function expressionView(spec: authorizationv1.SubjectAccessReviewSpec): JsonObject {
  const { user = '', uid = '', groups = [], extra = {}, resourceAttributes, nonResourceAttributes } = spec;
  return {
    user,
    uid,
    groups,
    extra: { ...extra },
    ...(resourceAttributes === undefined ? {} : { resourceAttributes: resourceView(resourceAttributes) }),
    ...(nonResourceAttributes === undefined
      ? {}
      : {
          nonResourceAttributes: {
            path: nonResourceAttributes.path ?? '',
            verb: nonResourceAttributes.verb ?? '',
          },
        }),
  };
}

function resourceView(attributes: authorizationv1.ResourceAttributes): JsonObject {
  const { fieldSelector, labelSelector } = attributes;
  return {
    namespace: attributes.namespace ?? '',
    verb: attributes.verb ?? '',
    group: attributes.group ?? '',
    version: attributes.version ?? '',
    resource: attributes.resource ?? '',
    subresource: attributes.subresource ?? '',
    name: attributes.name ?? '',
    ...(fieldSelector === undefined ? {} : { fieldSelector: selectorView(fieldSelector) }),
    ...(labelSelector === undefined ? {} : { labelSelector: selectorView(labelSelector) }),
  };
}

/** Reviews to webhooks have requirements, never the text. */
function selectorView({
  requirements = [],
}: authorizationv1.FieldSelectorAttributes | authorizationv1.LabelSelectorAttributes): JsonObject {
  return {
    requirements: requirements.map(({ key, operator, values = [] }) => ({ key, operator, values })),
  };
}
