/** JWT authenticators, checked and compiled (k8s.io/apiserver/pkg/apis/apiserver/validation). */
import type { apiserverv1 } from '@k8ts/api';
import {
  CelIssue,
  child,
  compileTokenExpression,
  duplicate,
  goQuote,
  index,
  internalField,
  invalidValue,
  isDNS1123Subdomain,
  regexMessage,
  required,
  tooMany,
  type CelProgram,
  type FieldError,
  type TokenVariable,
} from '@k8ts/apimachinery';
import { certificatesOf } from '../certificate-chain.ts';

/** The expressions of one authenticator; absent where it has claims' names instead. */
interface TokenExpressions {
  readonly username?: CelProgram;
  readonly groups?: CelProgram;
  readonly uid?: CelProgram;
  readonly extra: readonly { readonly key: string; readonly program: CelProgram }[];
  readonly claimRules: readonly TokenRule[];
  readonly userRules: readonly TokenRule[];
}

export interface TokenRule {
  readonly program: CelProgram;
  readonly message: string;
}

export interface CompiledJwt {
  readonly configuration: apiserverv1.JWTAuthenticator;
  readonly expressions: TokenExpressions;
}

const MAX_AUTHENTICATORS = 64;

/** `disallowed`: the issuers of service account tokens. Authenticators with errors are left out. */
export function compileAuthentication(
  { jwt, anonymous }: apiserverv1.AuthenticationConfiguration,
  disallowed: readonly string[],
): { readonly authenticators: readonly CompiledJwt[]; readonly errors: readonly FieldError[] } {
  if (jwt.length > MAX_AUTHENTICATORS)
    return { authenticators: [], errors: [tooMany('jwt', jwt.length, MAX_AUTHENTICATORS)] };
  const errors: FieldError[] = [];
  const authenticators: CompiledJwt[] = [];
  const issuers = new Set<string>();
  const discoveryUrls = new Set<string>();
  for (const [position, each] of jwt.entries()) {
    const path = index('jwt', position);
    const compiler = new Compiler();
    errors.push(
      ...validateIssuer(each.issuer, disallowed, child(path, 'issuer')),
      ...compiler.claimRules(each.claimValidationRules ?? [], child(path, 'claimValidationRules')),
      ...compiler.mappings(each.claimMappings, child(path, 'claimMappings')),
      ...compiler.userRules(each.userValidationRules ?? [], child(path, 'userValidationRules')),
    );
    const { url, discoveryURL = '' } = each.issuer;
    if (issuers.has(url)) errors.push(duplicate(child(path, 'issuer', 'url'), url));
    issuers.add(url);
    if (discoveryURL !== '') {
      if (discoveryUrls.has(discoveryURL))
        errors.push(duplicate(child(path, 'issuer', 'discoveryURL'), discoveryURL));
      discoveryUrls.add(discoveryURL);
    }
    authenticators.push({ configuration: each, expressions: compiler.compiled });
  }
  const conditions = anonymous?.conditions ?? [];
  if (anonymous?.enabled === false && conditions.length > 0)
    errors.push(
      invalidValue(
        'anonymous.conditions',
        conditions,
        'enabled should be set to true when conditions are defined',
      ),
    );
  return { authenticators, errors };
}

function validateIssuer(
  issuer: apiserverv1.Issuer,
  disallowed: readonly string[],
  path: string,
): FieldError[] {
  const { url, discoveryURL = '', certificateAuthority = '', egressSelectorType = '' } = issuer;
  const errors: FieldError[] = [];
  const urlPath = child(path, 'url');
  if (url === '') errors.push(required(urlPath, ''));
  else errors.push(...validateUrl(url, disallowed, urlPath));
  if (discoveryURL !== '') {
    const at = child(path, 'discoveryURL');
    if (url !== '' && withoutSlashes(url) === withoutSlashes(discoveryURL))
      errors.push(invalidValue(at, discoveryURL, 'discoveryURL must be different from URL'));
    errors.push(...validateUrl(discoveryURL, [], at));
  }
  errors.push(...validateAudiences(issuer, path));
  if (certificateAuthority !== '' && certificatesOf(certificateAuthority).length === 0)
    errors.push(
      invalidValue(
        child(path, 'certificateAuthority'),
        '<omitted>',
        'data does not contain any valid RSA or ECDSA certificates',
      ),
    );
  if (egressSelectorType !== '')
    errors.push(
      invalidValue(
        child(path, 'egressSelectorType'),
        egressSelectorType,
        ['controlplane', 'cluster'].includes(egressSelectorType)
          ? 'there is no egress selector'
          : 'egress selector must be either controlplane or cluster',
      ),
    );
  return errors;
}

function withoutSlashes(url: string): string {
  let end = url.length;
  while (end > 0 && url[end - 1] === '/') end--;
  return url.slice(0, end);
}

function validateUrl(url: string, disallowed: readonly string[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const wrong = (detail: string): void => void errors.push(invalidValue(path, url, detail));
  if (disallowed.includes(url))
    wrong(`URL must not overlap with disallowed issuers: [${[...disallowed].sort().join(' ')}]`);
  const isHttps = /^https:/i.test(url);
  if (isHttps && !URL.canParse(url)) {
    wrong(`parse ${goQuote(url)}: invalid URL`);
    return errors;
  }
  const [beforeFragment = '', fragment = ''] = splitOnce(url, '#');
  const [beforeQuery = '', query = ''] = splitOnce(beforeFragment, '?');
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/]*)/i.exec(beforeQuery)?.[1] ?? '';
  if (!isHttps) wrong('URL scheme must be https');
  if (authority.includes('@')) wrong('URL must not contain a username or password');
  if (query !== '') wrong('URL must not contain a query');
  if (fragment !== '') wrong('URL must not contain a fragment');
  return errors;
}

function splitOnce(text: string, at: string): readonly string[] {
  const position = text.indexOf(at);
  return position < 0 ? [text] : [text.slice(0, position), text.slice(position + 1)];
}

function validateAudiences(
  { audiences = [], audienceMatchPolicy = '' }: Partial<apiserverv1.Issuer>,
  path: string,
): FieldError[] {
  const at = child(path, 'audiences');
  if (audiences.length === 0) return [required(at, `at least one ${at} is required`)];
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [position, audience] of audiences.entries()) {
    if (audience === '') errors.push(required(index(at, position), ''));
    if (seen.has(audience)) errors.push(duplicate(index(at, position), audience));
    seen.add(audience);
  }
  const policyPath = child(path, 'audienceMatchPolicy');
  if (audiences.length > 1 && audienceMatchPolicy !== 'MatchAny')
    errors.push(
      invalidValue(
        policyPath,
        audienceMatchPolicy,
        'audienceMatchPolicy must be MatchAny for multiple audiences',
      ),
    );
  if (audiences.length === 1 && audienceMatchPolicy !== '' && audienceMatchPolicy !== 'MatchAny')
    errors.push(
      invalidValue(
        policyPath,
        audienceMatchPolicy,
        'audienceMatchPolicy must be empty or MatchAny for single audience',
      ),
    );
  return errors;
}

const BOTH_SET = "claim and expression can't both be set";

/** Collects the programs of one authenticator while it is checked. */
class Compiler {
  #username: CelProgram | undefined;
  #groups: CelProgram | undefined;
  #uid: CelProgram | undefined;
  readonly #extra: { readonly key: string; readonly program: CelProgram }[] = [];
  readonly #claimRules: TokenRule[] = [];
  readonly #userRules: TokenRule[] = [];

  get compiled(): TokenExpressions {
    return {
      ...(this.#username === undefined ? {} : { username: this.#username }),
      ...(this.#groups === undefined ? {} : { groups: this.#groups }),
      ...(this.#uid === undefined ? {} : { uid: this.#uid }),
      extra: this.#extra,
      claimRules: this.#claimRules,
      userRules: this.#userRules,
    };
  }

  claimRules(rules: readonly apiserverv1.ClaimValidationRule[], path: string): FieldError[] {
    const errors: FieldError[] = [];
    const claims = new Set<string>();
    const expressions = new Set<string>();
    for (const [position, rule] of rules.entries()) {
      const at = index(path, position);
      const { claim = '', requiredValue = '', expression = '', message = '' } = rule;
      if (claim !== '' && expression !== '') errors.push(invalidValue(at, claim, BOTH_SET));
      else if (claim === '' && expression === '')
        errors.push(required(at, 'claim or expression is required'));
      else if (claim !== '') {
        if (message !== '')
          errors.push(invalidValue(child(at, 'message'), message, 'may not be specified when claim is set'));
        if (claims.has(claim)) errors.push(duplicate(child(at, 'claim'), claim));
        claims.add(claim);
      } else {
        if (requiredValue !== '')
          errors.push(
            invalidValue(
              child(at, 'requiredValue'),
              requiredValue,
              'may not be specified when expression is set',
            ),
          );
        errors.push(
          ...this.#rule(
            expression,
            message,
            'claims',
            expressions,
            child(at, 'expression'),
            this.#claimRules,
          ),
        );
      }
    }
    return errors;
  }

  userRules(rules: readonly apiserverv1.UserValidationRule[], path: string): FieldError[] {
    const seen = new Set<string>();
    return rules.flatMap(({ expression, message = '' }, position) => {
      const at = child(index(path, position), 'expression');
      if (expression === '') return [required(at, '')];
      return this.#rule(expression, message, 'user', seen, at, this.#userRules);
    });
  }

  #rule(
    expression: string,
    message: string,
    variable: TokenVariable,
    seen: Set<string>,
    path: string,
    to: TokenRule[],
  ): FieldError[] {
    if (seen.has(expression)) return [duplicate(path, expression)];
    seen.add(expression);
    const compiled = compile(expression, variable, 'bool', path);
    if ('error' in compiled) return [compiled.error];
    to.push({ program: compiled.program, message });
    return [];
  }

  mappings(given: apiserverv1.ClaimMappings | undefined, path: string): FieldError[] {
    const mappings: Partial<apiserverv1.ClaimMappings> = given ?? {};
    const errors: FieldError[] = [];
    const { username = {}, groups = {}, uid = {}, extra = [] } = mappings;
    const prefixed = (
      mapping: apiserverv1.PrefixedClaimOrExpression,
      at: string,
      isRequired: boolean,
    ): CelProgram | undefined => {
      const { claim = '', prefix, expression = '' } = mapping;
      if (expression !== '' && claim !== '') errors.push(invalidValue(at, '', BOTH_SET));
      else if (expression !== '') {
        if (prefix !== undefined)
          errors.push(
            invalidValue(child(at, 'prefix'), prefix, 'may not be specified when expression is set'),
          );
        return this.#mapping(expression, child(at, 'expression'), errors);
      } else if (claim === '') {
        if (isRequired) errors.push(required(at, 'claim or expression is required'));
      } else if (prefix === undefined)
        errors.push(
          required(
            child(at, 'prefix'),
            'prefix is required when claim is set. It can be set to an empty string to disable prefixing',
          ),
        );
      return undefined;
    };
    this.#username = prefixed(username, child(path, 'username'), true);
    this.#groups = prefixed(groups, child(path, 'groups'), false);
    const { claim = '', expression = '' } = uid;
    if (claim !== '' && expression !== '') errors.push(invalidValue(child(path, 'uid'), '', BOTH_SET));
    else if (expression !== '')
      this.#uid = this.#mapping(expression, child(path, 'uid', 'expression'), errors);
    this.#extraMappings(extra, child(path, 'extra'), errors);

    const verifying = [
      this.#username,
      ...this.#extra.map(({ program }) => program),
      ...this.#claimRules.map(({ program }) => program),
    ];
    if (
      this.#username?.selects('claims', 'email') === true &&
      !verifying.some((program) => program?.selects('claims', 'email_verified'))
    )
      errors.push(
        invalidValue(
          child(path, 'username', 'expression'),
          username.expression ?? '',
          'claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression',
        ),
      );
    return errors;
  }

  #extraMappings(extra: readonly apiserverv1.ExtraMapping[], path: string, errors: FieldError[]): void {
    const seen = new Set<string>();
    for (const [position, { key, valueExpression }] of extra.entries()) {
      const at = index(path, position);
      const keyPath = child(at, 'key');
      errors.push(...domainPrefixedPathErrors(key, keyPath));
      if (key !== key.toLowerCase()) errors.push(invalidValue(keyPath, key, 'must be lowercase'));
      if (/^([^/]*\.)?(kubernetes|k8s)\.io\//.test(key))
        errors.push(
          invalidValue(
            keyPath,
            key,
            'k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use',
          ),
        );
      if (seen.has(key)) {
        errors.push(duplicate(keyPath, key));
        continue;
      }
      seen.add(key);
      const valuePath = child(at, 'valueExpression');
      if (valueExpression === '') {
        errors.push(required(valuePath, ''));
        continue;
      }
      const program = this.#mapping(valueExpression, valuePath, errors);
      if (program !== undefined) this.#extra.push({ key, program });
    }
  }

  #mapping(expression: string, path: string, errors: FieldError[]): CelProgram | undefined {
    const compiled = compile(expression, 'claims', 'anything', path);
    if ('program' in compiled) return compiled.program;
    errors.push(compiled.error);
    return undefined;
  }
}

function compile(
  expression: string,
  variable: TokenVariable,
  returns: 'bool' | 'anything',
  path: string,
): { readonly program: CelProgram } | { readonly error: FieldError } {
  const program = compileTokenExpression(expression, variable, returns);
  if (!(program instanceof CelIssue)) return { program };
  return {
    error:
      program.kind === 'issues'
        ? invalidValue(path, expression, program.message)
        : internalField(path, program.message),
  };
}

const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
const HTTP_PATH_PATTERN = new RegExp(`^${HTTP_PATH}$`);

/** `acme.io/foo` (k8s.io/apimachinery/pkg/util/validation, IsDomainPrefixedPath). */
export function domainPrefixedPathErrors(value: string, path: string): FieldError[] {
  if (value === '') return [required(path, '')];
  const [host = '', rest = ''] = splitOnce(value, '/');
  if (host === '' || rest === '')
    return [invalidValue(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')];
  return [
    ...isDNS1123Subdomain(host).map((message) => invalidValue(path, host, message)),
    ...(HTTP_PATH_PATTERN.test(rest)
      ? []
      : [invalidValue(path, rest, regexMessage('Invalid path', HTTP_PATH))]),
  ];
}
