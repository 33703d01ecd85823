/**
 * Whether the expressions of a policy fit the kinds that it is about
 * (k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go).
 */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  AdmissionExpressions,
  kindExpressionTypes,
  parseGroupVersion,
  RETURNS_ANYTHING,
  type KindSchema,
} from '@k8ts/apimachinery';

type Policy = admissionregistrationv1.ValidatingAdmissionPolicy;

/** More are not looked at (upstream: maxTypesToCheck). */
const MAX_KINDS = 10;

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** What the server knows of kinds. */
export interface Kinds {
  /** undefined: there is no such resource. */
  kindOf(group: string, version: string, resource: string): Promise<string | undefined>;
  schemaOf(kind: Kind): Promise<KindSchema | undefined>;
}

/** One warning for each expression that does not fit one of the kinds. Kinds without a schema are left out. */
export async function checkTypes(
  { spec }: Policy,
  kinds: Kinds,
): Promise<readonly admissionregistrationv1.ExpressionWarning[]> {
  const checks: { readonly kind: Kind; readonly compile: Compile }[] = [];
  const params = spec.paramKind === undefined ? undefined : await kinds.schemaOf(paramKindOf(spec.paramKind));
  for (const kind of await kindsOf(spec.matchConstraints, kinds)) {
    const schema = await kinds.schemaOf(kind);
    if (schema !== undefined) checks.push({ kind, compile: compiler(spec, schema, params) });
  }
  const warnings: { readonly fieldRef: string; readonly warning: string }[] = [];
  const check = (expression: string | undefined, fieldRef: string): void => {
    if (!expression) return;
    const problems = checks.flatMap(({ kind, compile }) => {
      const problem = compile(expression);
      return problem === undefined ? [] : [`${kind.group}/${kind.version}, Kind=${kind.kind}: ${problem}\n`];
    });
    if (problems.length > 0) warnings.push({ fieldRef, warning: problems.join('\n') });
  };
  for (const [i, { expression, messageExpression }] of (spec.validations ?? []).entries()) {
    check(expression, `spec.validations[${i}].expression`);
    check(messageExpression, `spec.validations[${i}].messageExpression`);
  }
  return warnings;
}

/** What is wrong with an expression; undefined: nothing. */
type Compile = (expression: string) => string | undefined;

function compiler(spec: Policy['spec'], object: KindSchema, params: KindSchema | undefined): Compile {
  const expressions = new AdmissionExpressions({ types: kindExpressionTypes(object, params) });
  const scope = { params: spec.paramKind !== undefined, authorizer: true };
  for (const { name, expression } of spec.variables ?? []) expressions.addVariable(name, expression, scope);
  return (expression) => {
    const { issue } = expressions.compile(expression, scope, RETURNS_ANYTHING);
    if (issue === undefined) return undefined;
    return issue.kind === 'invalid' ? issue.message : `type checking error: ${issue.message}`;
  };
}

function paramKindOf({ apiVersion = '', kind = '' }: admissionregistrationv1.ParamKind): Kind {
  const { group, version } = parseGroupVersion(apiVersion) ?? { group: '', version: '' };
  return { group, version, kind };
}

/** What the rules name without wildcards, by group, version and kind. */
async function kindsOf(
  match: admissionregistrationv1.MatchResources | undefined,
  kinds: Kinds,
): Promise<readonly Kind[]> {
  const found = new Map<string, Kind>();
  for (const { apiGroups = [], apiVersions = [], resources = [] } of match?.resourceRules ?? []) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes('*'))) continue;
    for (const group of [...apiGroups].sort())
      for (const version of [...apiVersions].sort())
        for (const resource of [...resources].sort()) {
          if (/[*/]/.test(resource) || found.size >= MAX_KINDS) continue;
          const kind = await kinds.kindOf(group, version, resource);
          if (kind !== undefined) found.set(`${group}/${version}/${kind}`, { group, version, kind });
        }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, kind]) => kind);
}
