import type { apiextensionsv1, Schema } from '@k8ts/api';
import { compileStructuralSchema } from './compile-schema.ts';
import { validateEmbeddedObjects } from './embedded-objects.ts';
import { validateListTypes } from './list-types.ts';
import { compileSchemaValidator, type ValueValidator } from './validate-value.ts';

/**
 * Everything that a schema says of values but its CEL rules, in the order in which upstream reports it: OpenAPI, embedded
 * objects, uniqueness in lists. Lists may go on holding something twice that did so before.
 */
export function compileValueValidator(props: apiextensionsv1.JSONSchemaProps): ValueValidator {
  const validateSchema = compileSchemaValidator(props);
  let schema: Schema | undefined;
  return (value, options = {}) => {
    schema ??= compileStructuralSchema(props);
    const { old, path = '' } = options;
    const errors = [...validateSchema(value, options), ...validateEmbeddedObjects(value, schema, path)];
    const repeated = validateListTypes(value, schema, path);
    if (repeated.length === 0) return errors;
    const wasSo = old !== undefined && validateListTypes(old, schema, path).length > 0;
    return wasSo ? errors : [...errors, ...repeated];
  };
}
