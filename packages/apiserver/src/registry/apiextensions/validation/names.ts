import { child, index, invalidValue, isDNS1035Label, required, type FieldError } from '@k8ts/apimachinery';
import type { apiextensionsv1 } from '@k8ts/api';

type Names = Partial<apiextensionsv1.CustomResourceDefinitionNames>;

/** Of `spec.names`, and of the accepted names in the status, where all may be absent. */
export function validateNames(names: Names, path: string): FieldError[] {
  const { kind = '', listKind = '', shortNames = [], categories = [] } = names;
  const errors: FieldError[] = [];
  const label = (value: string, at: string): void => {
    const problems = isDNS1035Label(value);
    if (problems.length > 0) errors.push(invalidValue(at, value, problems.join(',')));
  };
  for (const name of ['plural', 'singular'] as const) if (names[name]) label(names[name], child(path, name));
  for (const name of ['kind', 'listKind'] as const) {
    const value = names[name] ?? '';
    const problems = value === '' ? [] : isDNS1035Label(value.toLowerCase());
    if (problems.length > 0)
      errors.push(
        invalidValue(
          child(path, name),
          value,
          `may have mixed case, but should otherwise match: ${problems.join(',')}`,
        ),
      );
  }
  shortNames.forEach((name, i) => {
    label(name, index(child(path, 'shortNames'), i));
  });
  if (kind !== '' && kind === listKind)
    errors.push(invalidValue(child(path, 'listKind'), listKind, 'kind and listKind may not be the same'));
  categories.forEach((name, i) => {
    label(name, index(child(path, 'categories'), i));
  });
  return errors;
}

/** What a specification must name; the status need not. */
export function requireNames(names: Names, path: string): FieldError[] {
  return (['plural', 'singular', 'kind', 'listKind'] as const)
    .filter((name) => !names[name])
    .map((name) => required(child(path, name), ''));
}
