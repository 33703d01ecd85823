/** The rules of label selectors in objects (k8s.io/apimachinery/pkg/apis/meta/v1/validation). */
import type { FieldError } from '../status-error.ts';
import { child, forbiddenField, index, invalidValue, required } from './field-errors.ts';
import { isValidLabelValue } from './names.ts';
import { validateLabelName, validateLabels } from './object-meta.ts';

export interface LabelSelectorFields {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelSelectorRequirementFields[];
}

export interface LabelSelectorRequirementFields {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

/** `allowInvalidValues` is for updates of objects that were stored before values were checked. */
export function validateLabelSelector(
  selector: LabelSelectorFields | undefined,
  path: string,
  { allowInvalidValues = false }: { readonly allowInvalidValues?: boolean } = {},
): FieldError[] {
  if (selector === undefined) return [];
  const errors =
    selector.matchLabels === undefined
      ? []
      : validateLabels(selector.matchLabels, child(path, 'matchLabels'));
  for (const [position, expression] of (selector.matchExpressions ?? []).entries()) {
    const at = index(child(path, 'matchExpressions'), position);
    const { operator, values = [] } = expression;
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0)
        errors.push(required(child(at, 'values'), "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0)
        errors.push(
          forbiddenField(
            child(at, 'values'),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
          ),
        );
    } else {
      errors.push(invalidValue(child(at, 'operator'), operator ?? '', 'not a valid selector operator'));
    }
    errors.push(...validateLabelName(expression.key ?? '', child(at, 'key')));
    if (allowInvalidValues) continue;
    for (const [valuePosition, value] of values.entries()) {
      for (const message of isValidLabelValue(value))
        errors.push(invalidValue(index(child(at, 'values'), valuePosition), value, message));
    }
  }
  return errors;
}
