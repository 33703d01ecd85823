/** Expressions of JWT authenticators over claims and users (k8s.io/apiserver/pkg/authentication/cel). */
import type { JsonObject } from '../../json.ts';
import { createCelEnvironment } from '../environment.ts';
import type { CelEnvironment } from '../environment.ts';
import { BOOL, DYN, listType, mapType, objectType, sameType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { CelIssue, compileCel } from '../program.ts';
import type { CelProgram } from '../program.ts';
import { CelList } from '../value/value.ts';
import type { CelResult } from '../value/value.ts';
import { claimValueOf } from './claim-values.ts';

/** What the expression is about: `claims.…` or `user.…`. */
export type TokenVariable = 'claims' | 'user';

const USER = objectType('kubernetes.UserInfo');
const USER_FIELDS: Readonly<Record<string, CelType>> = {
  username: STRING,
  uid: STRING,
  groups: listType(STRING),
  extra: mapType(STRING, listType(STRING)),
};

const environments = new Map<TokenVariable, CelEnvironment>();

function environmentOf(variable: TokenVariable): CelEnvironment {
  let environment = environments.get(variable);
  if (environment === undefined) {
    environment = createCelEnvironment({
      variables: { [variable]: variable === 'user' ? USER : mapType(STRING, DYN) },
      fieldType: (typeName, field) =>
        typeName === USER.name && Object.hasOwn(USER_FIELDS, field) ? USER_FIELDS[field] : undefined,
    });
    environments.set(variable, environment);
  }
  return environment;
}

/** `returns`: claims have no types, so what a mapping gives is looked at when it has run. */
export function compileTokenExpression(
  expression: string,
  variable: TokenVariable,
  returns: 'bool' | 'anything',
): CelProgram | CelIssue {
  const program = compileCel(expression, environmentOf(variable));
  if (program instanceof CelIssue)
    return program.kind === 'issues'
      ? new CelIssue('issues', `compilation failed: ${program.message}`)
      : new CelIssue('program', `program instantiation failed: ${program.message}`);
  return returns === 'bool' && !sameType(program.type, BOOL)
    ? new CelIssue('issues', 'must evaluate to bool')
    : program;
}

/** `value`: the claims, or username, uid, groups and extra of the user. */
export function evaluateTokenExpression(
  program: CelProgram,
  variable: TokenVariable,
  value: JsonObject,
): CelResult {
  return program.evaluate({ [variable]: claimValueOf(value) }).value;
}

/** A string or a list of strings; null and empty strings are none. Undefined for what is neither. */
export function celTexts(value: CelResult): string[] | undefined {
  if (value === null) return [];
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (!(value instanceof CelList)) return undefined;
  const texts: string[] = [];
  for (let at = 0; at < value.size; at++) {
    const text = value.get(at);
    if (typeof text !== 'string') return undefined;
    if (text !== '') texts.push(text);
  }
  return texts;
}
