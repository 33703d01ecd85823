/** Who a token's claims stand for (k8s.io/apiserver/plugin/pkg/authenticator/token/oidc). */
import {
  CelError,
  celTexts,
  evaluateTokenExpression,
  goQuote,
  type CelProgram,
  type CelResult,
  type JsonObject,
} from '@k8ts/apimachinery';
import type { UserInfo } from '../contract.ts';
import { CREDENTIAL_ID_EXTRA } from '../well-known-users.ts';
import type { Claims } from './issuer.ts';
import type { CompiledJwt, TokenRule } from './validation.ts';

/** Throws an Error in upstream's words for claims that stand for nobody. */
export function userOfClaims({ configuration, expressions }: CompiledJwt, claims: Claims): UserInfo {
  const user: UserInfo = {
    name: username({ configuration, expressions }, claims),
    groups: groups({ configuration, expressions }, claims),
    uid: uid({ configuration, expressions }, claims),
    extra: extra(expressions.extra, claims),
  };
  for (const { claim = '', requiredValue = '' } of configuration.claimValidationRules ?? [])
    if (claim !== '') checkRequired(claims, claim, requiredValue);
  checkRules(
    expressions.claimRules,
    'claims',
    claims as JsonObject,
    'error evaluating claim validation expression',
  );
  checkRules(
    expressions.userRules,
    'user',
    { username: user.name, uid: user.uid, groups: user.groups, extra: { ...user.extra } },
    'error evaluating user info validation rule',
  );
  return user;
}

function username({ configuration, expressions }: CompiledJwt, claims: Claims): string {
  if (expressions.username !== undefined) {
    const value = evaluate(expressions.username, claims, 'username claim');
    if (typeof value !== 'string')
      throw new Error(
        'oidc: error evaluating username claim expression: username claim expression must return a string',
      );
    if (value === '') throw new Error('oidc: empty username via CEL expression is not allowed');
    return value;
  }
  const { claim = '', prefix = '' } = configuration.claimMappings.username;
  const name = textOf(claims, claim, `oidc: parse username claims ${goQuote(claim)}`);
  if (claim === 'email' && Object.hasOwn(claims, 'email_verified')) {
    const isVerified = claims['email_verified'];
    if (typeof isVerified !== 'boolean')
      throw new Error("oidc: parse 'email_verified' claim: it is not a boolean");
    if (!isVerified) throw new Error('oidc: email not verified');
  }
  return prefix + name;
}

function groups({ configuration, expressions }: CompiledJwt, claims: Claims): readonly string[] {
  const { claim = '', prefix = '' } = configuration.claimMappings.groups ?? {};
  if (claim !== '' && Object.hasOwn(claims, claim)) {
    const value = claims[claim];
    const list = typeof value === 'string' ? [value] : (value ?? []);
    if (!Array.isArray(list) || list.some((group) => typeof group !== 'string'))
      throw new Error(
        `oidc: parse groups claim ${goQuote(claim)}: it is neither a string nor a list of strings`,
      );
    return (list as readonly string[]).map((group) => prefix + group);
  }
  return expressions.groups === undefined
    ? []
    : texts(
        evaluate(expressions.groups, claims, 'group claim'),
        'oidc: error evaluating group claim expression',
      );
}

function uid({ configuration, expressions }: CompiledJwt, claims: Claims): string {
  const { claim = '' } = configuration.claimMappings.uid ?? {};
  if (claim !== '') return textOf(claims, claim, `oidc: parse uid claim ${goQuote(claim)}`);
  if (expressions.uid === undefined) return '';
  const value = evaluate(expressions.uid, claims, 'uid claim');
  if (typeof value !== 'string')
    throw new Error('oidc: error evaluating uid claim expression: uid claim expression must return a string');
  return value;
}

function extra(mappings: CompiledJwt['expressions']['extra'], claims: Claims): UserInfo['extra'] {
  const found: Record<string, readonly string[]> = {};
  const { jti } = claims;
  if (typeof jti === 'string' && jti !== '') found[CREDENTIAL_ID_EXTRA] = [`JTI=${jti}`];
  for (const { key, program } of mappings) {
    const value = evaluateTokenExpression(program, 'claims', claims as JsonObject);
    if (value instanceof CelError) throw new Error(evaluationError(program, value));
    const values = texts(value, `oidc: error evaluating extra claim expression: ${program.expression}`);
    if (values.length > 0) found[key] = values;
  }
  return found;
}

function evaluate(program: CelProgram, claims: Claims, what: string): CelResult {
  const value = evaluateTokenExpression(program, 'claims', claims as JsonObject);
  if (value instanceof CelError)
    throw new Error(`oidc: error evaluating ${what} expression: ${evaluationError(program, value)}`);
  return value;
}

function evaluationError({ expression }: CelProgram, { message }: CelError): string {
  return `expression '${expression}' resulted in error: ${message}`;
}

function texts(value: CelResult, context: string): readonly string[] {
  const found = celTexts(value);
  if (found === undefined)
    throw new Error(`${context}: expression must return a string or a list of strings`);
  return found;
}

function textOf(claims: Claims, claim: string, context: string): string {
  if (!Object.hasOwn(claims, claim)) throw new Error(`${context}: claim not present`);
  const value = claims[claim];
  if (typeof value !== 'string') throw new Error(`${context}: it is not a string`);
  return value;
}

function checkRequired(claims: Claims, claim: string, wanted: string): void {
  if (!Object.hasOwn(claims, claim)) throw new Error(`oidc: required claim ${claim} not present in ID token`);
  const value = textOf(claims, claim, `oidc: parse claim ${claim}`);
  if (value !== wanted)
    throw new Error(`oidc: required claim ${claim} value does not match. Got = ${value}, want = ${wanted}`);
}

function checkRules(
  rules: readonly TokenRule[],
  variable: 'claims' | 'user',
  value: JsonObject,
  context: string,
): void {
  for (const { program, message } of rules) {
    const holds = evaluateTokenExpression(program, variable, value);
    if (holds instanceof CelError) throw new Error(`oidc: ${context}: ${evaluationError(program, holds)}`);
    if (holds !== true)
      throw new Error(
        `oidc: ${context}: ${typeof holds === 'boolean' ? `validation expression '${program.expression}' failed: ${message}` : 'validation expression must return a boolean'}`,
      );
  }
}
