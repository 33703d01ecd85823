/** What a version says beside its schema: subresources, printer columns, selectable fields, deprecation. */
import type { apiextensionsv1 } from '@k8ts/api';
import {
  child,
  duplicate,
  index,
  invalidValue,
  isPrintable,
  required,
  tooMany,
  type FieldError,
} from '@k8ts/apimachinery';
import { resolveFieldPath } from './field-path.ts';
import type { Version } from './internal-form.ts';
import type { SchemaProps } from './schema-walk.ts';

const MAX_DEPRECATION_WARNING = 256;

export function validateDeprecation(
  { deprecated = false, deprecationWarning }: Version,
  path: string,
): FieldError[] {
  if (deprecationWarning === undefined) return [];
  const at = child(path, 'deprecationWarning');
  return deprecationProblems(deprecated, deprecationWarning).map((problem) =>
    invalidValue(at, deprecationWarning, problem),
  );
}

function deprecationProblems(deprecated: boolean, warning: string): string[] {
  if (!deprecated) return ['can only be set for deprecated versions'];
  const problems: string[] = [];
  if (Buffer.byteLength(warning) > MAX_DEPRECATION_WARNING) problems.push('must be <= 256 characters long');
  if (warning === '') problems.push('must not be an empty string');
  let position = 0;
  for (const char of warning) {
    if (!isPrintable(char)) {
      problems.push(
        `must only contain printable UTF-8 characters; non-printable character found at index ${position}`,
      );
      break;
    }
    position += Buffer.byteLength(char);
  }
  return problems;
}

type Subresources = apiextensionsv1.CustomResourceSubresources;

export function validateSubresources({ scale }: Subresources, path: string): FieldError[] {
  if (scale === undefined) return [];
  const errors: FieldError[] = [];
  for (const [name, root] of [
    ['specReplicasPath', '.spec'],
    ['statusReplicasPath', '.status'],
  ] as const) {
    const value = (scale[name] as string | undefined) ?? '';
    const at = child(path, 'scale', name);
    if (value === '') errors.push(required(at, ''));
    else errors.push(...validateJsonPath(value, at, [root], `should be a json path under ${root}`));
  }
  if (scale.labelSelectorPath)
    errors.push(
      ...validateJsonPath(
        scale.labelSelectorPath,
        child(path, 'scale', 'labelSelectorPath'),
        ['.spec', '.status'],
        'should be a json path under either .spec or .status',
      ),
    );
  return errors;
}

function validateJsonPath(
  value: string,
  path: string,
  roots: readonly string[],
  message: string,
): FieldError[] {
  const errors = validateSimpleJsonPath(value, path);
  if (errors.length > 0 || roots.some((root) => value.startsWith(`${root}.`))) return errors;
  return [invalidValue(path, value, message)];
}

/** Little is asked of paths but their first character. */
function validateSimpleJsonPath(value: string, path: string): FieldError[] {
  return value.startsWith('.')
    ? []
    : [invalidValue(path, value, 'must be a simple json path starting with .')];
}

const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];

type Column = apiextensionsv1.CustomResourceColumnDefinition;

export function validateColumn(column: Partial<Column>, path: string): FieldError[] {
  const { name = '', type = '', format = '', jsonPath = '' } = column;
  const errors: FieldError[] = [];
  const types = `must be one of ${COLUMN_TYPES.join(',')}`;
  if (name === '') errors.push(required(child(path, 'name'), ''));
  if (type === '') errors.push(required(child(path, 'type'), types));
  else if (!COLUMN_TYPES.includes(type)) errors.push(invalidValue(child(path, 'type'), type, types));
  if (format !== '' && !COLUMN_FORMATS.includes(format))
    errors.push(invalidValue(child(path, 'format'), format, `must be one of ${COLUMN_FORMATS.join(',')}`));
  const at = child(path, 'JSONPath');
  return [...errors, ...(jsonPath === '' ? [required(at, '')] : validateSimpleJsonPath(jsonPath, at))];
}

const MAX_SELECTABLE_FIELDS = 8;
const SELECTABLE_TYPES = ['string', 'boolean', 'integer'];

type SelectableFields = readonly apiextensionsv1.SelectableField[];

/** `allowTooMany`: there were too many before, and they are the same. */
export function validateSelectableFields(
  fields: SelectableFields,
  schema: SchemaProps,
  path: string,
  allowTooMany: boolean,
): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  fields.forEach(({ jsonPath }, i) => {
    const at = child(index(path, i), 'jsonPath');
    if (!jsonPath) {
      errors.push(required(at, ''));
      return;
    }
    const found = resolveFieldPath(jsonPath, schema, { allowArrayNotation: false });
    if (typeof found === 'string') {
      errors.push(invalidValue(at, jsonPath, `is an invalid path: ${found}`));
      return;
    }
    if (found.root === 'metadata')
      errors.push(invalidValue(at, jsonPath, 'must not point to fields in metadata'));
    if (!SELECTABLE_TYPES.includes(found.schema.type ?? ''))
      errors.push(
        invalidValue(
          at,
          jsonPath,
          'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        ),
      );
    if (seen.has(found.path)) errors.push(duplicate(at, jsonPath));
    seen.add(found.path);
  });
  if (seen.size > MAX_SELECTABLE_FIELDS && !allowTooMany)
    errors.push(tooMany(path, seen.size, MAX_SELECTABLE_FIELDS));
  return errors;
}

export function hasTooManySelectableFields(fields: SelectableFields): boolean {
  return fields.length > MAX_SELECTABLE_FIELDS;
}
