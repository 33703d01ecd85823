/**
 * Whether the expressions of a policy fit the kinds that it is about
 * (k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go). Kinds without a built-in schema are left out.
 */
import { resourceInfo, schemaOf, type admissionregistrationv1 } from '@k8ts/api';
import { AdmissionExpressions, RETURNS_ANYTHING, schemaExpressionTypes } from '@k8ts/apimachinery';

type Policy = admissionregistrationv1.ValidatingAdmissionPolicy;

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const MAX_KINDS = 10;

export function checkTypes({ spec }: Policy): readonly admissionregistrationv1.ExpressionWarning[] {
  const kinds = kindsOf(spec.matchConstraints);
  const warnings: { readonly fieldRef: string; readonly warning: string }[] = [];
  const check = (expression: string | undefined, fieldRef: string): void => {
    if (!expression) return;
    const problems = kinds.flatMap((kind) => problemOf(spec, expression, kind) ?? []);
    if (problems.length > 0) warnings.push({ fieldRef, warning: problems.join('\n') });
  };
  for (const [i, { expression, messageExpression }] of (spec.validations ?? []).entries()) {
    check(expression, `spec.validations[${i}].expression`);
    check(messageExpression, `spec.validations[${i}].messageExpression`);
  }
  return warnings;
}

function problemOf(spec: Policy['spec'], expression: string, kind: Kind): string | undefined {
  const schema = schemaOf(kind.group, kind.version, kind.kind);
  if (schema === undefined) return undefined;
  const { apiVersion = '', kind: paramsKind = '' } = spec.paramKind ?? {};
  const slash = apiVersion.indexOf('/');
  const params = schemaOf(
    slash < 0 ? '' : apiVersion.slice(0, slash),
    apiVersion.slice(slash + 1),
    paramsKind,
  );
  const expressions = new AdmissionExpressions({ types: schemaExpressionTypes(schema, params) });
  const scope = { params: spec.paramKind !== undefined, authorizer: true };
  for (const variable of spec.variables ?? [])
    expressions.addVariable(variable.name, variable.expression, scope);
  const { issue } = expressions.compile(expression, scope, RETURNS_ANYTHING);
  if (issue === undefined) return undefined;
  const why = issue.kind === 'invalid' ? issue.message : `type checking error: ${issue.message}`;
  return `${kind.group}/${kind.version}, Kind=${kind.kind}: ${why}\n`;
}

/** What the rules name without wildcards, by group, version and kind. */
function kindsOf(match: admissionregistrationv1.MatchResources | undefined): readonly Kind[] {
  const kinds = new Map<string, Kind>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of match?.resourceRules ?? []) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes('*'))) continue;
    for (const group of [...apiGroups].sort())
      for (const version of [...apiVersions].sort())
        for (const resource of [...resources].sort()) {
          const kind = /[*/]/.test(resource) ? undefined : resourceInfo(group, version, resource)?.kind;
          if (kind !== undefined && kinds.size < MAX_KINDS)
            kinds.set(`${group}/${version}/${kind}`, { group, version, kind });
        }
  }
  return [...kinds.keys()].sort().map((key) => kinds.get(key) as Kind);
}
