/** Conditions of authorization webhooks over a SubjectAccessReview's spec (k8s.io/apiserver/pkg/authorization/cel). */
import type { JsonObject } from '../../json.ts';
import { createCelEnvironment } from '../environment.ts';
import type { CelEnvironment } from '../environment.ts';
import { BOOL, goTypeText, listType, mapType, objectType, sameType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { CelIssue, compileCel } from '../program.ts';
import type { CelProgram } from '../program.ts';
import { celValueOf } from '../value/json-value.ts';
import { CelError } from '../value/value.ts';
import type { CelResult } from '../value/value.ts';

const SPEC = objectType('kubernetes.SubjectAccessReviewSpec');
const RESOURCE_ATTRIBUTES = objectType('kubernetes.ResourceAttributes');
const NON_RESOURCE_ATTRIBUTES = objectType('kubernetes.NonResourceAttributes');
const FIELD_SELECTOR = objectType('kubernetes.FieldSelectorAttributes');
const LABEL_SELECTOR = objectType('kubernetes.LabelSelectorAttributes');
const REQUIREMENT = objectType('kubernetes.SelectorRequirement');
const STRINGS = listType(STRING);
const SELECTOR_FIELDS = { rawSelector: STRING, requirements: listType(REQUIREMENT) };

const FIELDS: ReadonlyMap<string, Readonly<Record<string, CelType>>> = new Map<
  string,
  Readonly<Record<string, CelType>>
>([
  [
    SPEC.name,
    {
      resourceAttributes: RESOURCE_ATTRIBUTES,
      nonResourceAttributes: NON_RESOURCE_ATTRIBUTES,
      user: STRING,
      groups: STRINGS,
      extra: mapType(STRING, STRINGS),
      uid: STRING,
    },
  ],
  [
    RESOURCE_ATTRIBUTES.name,
    {
      namespace: STRING,
      verb: STRING,
      group: STRING,
      version: STRING,
      resource: STRING,
      subresource: STRING,
      name: STRING,
      fieldSelector: FIELD_SELECTOR,
      labelSelector: LABEL_SELECTOR,
    },
  ],
  [NON_RESOURCE_ATTRIBUTES.name, { path: STRING, verb: STRING }],
  [FIELD_SELECTOR.name, SELECTOR_FIELDS],
  [LABEL_SELECTOR.name, SELECTOR_FIELDS],
  [REQUIREMENT.name, { key: STRING, operator: STRING, values: STRINGS }],
]);

let environment: CelEnvironment | undefined;

function reviewEnvironment(): CelEnvironment {
  return (environment ??= createCelEnvironment({
    variables: { request: SPEC },
    fieldType: (typeName, field) => {
      const fields = FIELDS.get(typeName);
      return fields !== undefined && Object.hasOwn(fields, field) ? fields[field] : undefined;
    },
  }));
}

/** The issue says why the expression is no condition. */
export function compileReviewCondition(expression: string): CelProgram | CelIssue {
  const program = compileCel(expression, reviewEnvironment());
  if (program instanceof CelIssue)
    return program.kind === 'issues'
      ? new CelIssue('issues', `compilation failed: ${program.message}`)
      : new CelIssue('program', `program instantiation failed: ${program.message}`);
  return sameType(program.type, BOOL)
    ? program
    : new CelIssue('issues', `must evaluate to bool but got ${goTypeText(program.type)}`);
}

/** `spec`: with every text and list there, empty or not. A CelError says why the condition has no value. */
export function evaluateReviewCondition(condition: CelProgram, spec: JsonObject): boolean | CelError {
  const { value }: { readonly value: CelResult } = condition.evaluate({ request: celValueOf(spec) });
  const failed = (what: string): CelError =>
    new CelError(`cel evaluation error: expression '${condition.expression}' ${what}`);
  if (value instanceof CelError) return failed(`resulted in error: ${value.message}`);
  return typeof value === 'boolean' ? value : failed('eval result type should be bool');
}
