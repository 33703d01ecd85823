/** Selectors as authorizers see them (k8s.io/kubernetes/pkg/registry/authorization/util, KEP-4601). */
import type { authorizationv1, metav1 } from '@k8ts/api';
import {
  aggregateText,
  goQuote,
  labelSelectorFromObject,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  type FieldRequirement,
  type LabelRequirement,
} from '@k8ts/apimachinery';
import type { AuthorizationAttributes, RequiredBySelector } from './contract.ts';

type Selectors = Pick<AuthorizationAttributes, 'fieldSelector' | 'labelSelector'>;

/** Of the text in a query. */
export function selectorsOfText(fields: string | undefined, labels: string | undefined): Selectors {
  return {
    ...(fields === undefined || fields === '' ? {} : { fieldSelector: fieldsOfText(fields) }),
    ...(labels === undefined || labels === '' ? {} : { labelSelector: labelsOfText(labels) }),
  };
}

type Reviewed = Pick<authorizationv1.ResourceAttributes, 'fieldSelector' | 'labelSelector'>;

/** Of a SubjectAccessReview, where requirements come before the text. */
export function selectorsOfReview({ fieldSelector, labelSelector }: Reviewed): Selectors {
  const text = selectorsOfText(fieldSelector?.rawSelector, labelSelector?.rawSelector);
  const fields = fieldSelector?.requirements ?? [];
  const labels = labelSelector?.requirements ?? [];
  return {
    ...text,
    ...(fields.length === 0 ? {} : { fieldSelector: collect(fields, fieldRequirement) }),
    ...(labels.length === 0
      ? {}
      : {
          labelSelector: collect(
            labels,
            (expression) => labelSelectorFromObject({ matchExpressions: [expression] }).requirements,
          ),
        }),
  };
}

/** The form that SubjectAccessReviews to webhooks have. What has no counterpart there is left out. */
export function reviewedSelectors({ fieldSelector, labelSelector }: Selectors): Reviewed {
  const fields = (fieldSelector?.requirements ?? []).map(({ field, operator, value }) => ({
    key: field,
    operator: operator === '=' ? 'In' : 'NotIn',
    values: [value],
  }));
  const labels = (labelSelector?.requirements ?? []).flatMap(({ key, operator, values }) => {
    const name = LABEL_OPERATORS[operator];
    return name === undefined ? [] : [{ key, operator: name, ...(values.length === 0 ? {} : { values }) }];
  });
  return {
    ...(fields.length === 0 ? {} : { fieldSelector: { requirements: fields } }),
    ...(labels.length === 0 ? {} : { labelSelector: { requirements: labels } }),
  };
}

const LABEL_OPERATORS: Readonly<Partial<Record<LabelRequirement['operator'], string>>> = {
  '=': 'In',
  '==': 'In',
  in: 'In',
  '!=': 'NotIn',
  notin: 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
};

function fieldsOfText(text: string): RequiredBySelector<FieldRequirement> {
  return attempt(() => parseFieldSelector(text));
}

function labelsOfText(text: string): RequiredBySelector<LabelRequirement> {
  return attempt(() => parseLabelSelector(text).requirements);
}

function attempt<R>(parse: () => readonly R[]): RequiredBySelector<R> {
  try {
    return { requirements: parse() };
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    return { requirements: [], error: error.message };
  }
}

function collect<E, R>(
  expressions: readonly E[],
  read: (expression: E) => readonly R[],
): RequiredBySelector<R> {
  const each = expressions.map((expression) => attempt(() => read(expression)));
  const errors = each.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const requirements = each.flatMap((one) => one.requirements);
  return errors.length === 0 ? { requirements } : { requirements, error: aggregateText(errors) };
}

function fieldRequirement({
  key,
  operator,
  values = [],
}: metav1.FieldSelectorRequirement): readonly FieldRequirement[] {
  if (values.length > 1) throw new SelectorError('fieldSelectors do not yet support multiple values');
  const [value] = values;
  switch (operator) {
    case 'In':
      if (value === undefined) throw new SelectorError('fieldSelectors in must have one value');
      return [{ field: key, operator: '=', value }];
    case 'NotIn':
      if (value === undefined) throw new SelectorError('fieldSelectors not in must have one value');
      return [{ field: key, operator: '!=', value }];
    case 'Exists':
    case 'DoesNotExist':
      throw new SelectorError(`fieldSelectors do not yet support ${operator}`);
    default:
      throw new SelectorError(`${goQuote(operator)} is not a valid field selector operator`);
  }
}
