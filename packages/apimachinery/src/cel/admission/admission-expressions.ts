/**
 * The expressions of webhooks and admission policies (k8s.io/apiserver/pkg/admission/plugin/cel): compiled once, then run
 * over requests.
 *
 *     const expressions = new AdmissionExpressions();
 *     expressions.addVariable('image', 'object.spec.image', scope)
 *     const rule = expressions.compile("variables.image != ''", scope, RETURNS_BOOL)
 *     const run = expressions.run(values, 1_000_000)
 *     run.evaluate(rule)                                // { value: true }, { error: '…' }
 */
import type { JsonValue } from '../../json.ts';
import { createCelEnvironment } from '../environment.ts';
import type { CelEnvironment } from '../environment.ts';
import { declareFunction, overload } from '../language/function.ts';
import {
  BOOL,
  CelType,
  DYN,
  goTypeText,
  listType,
  NULL,
  objectType,
  sameType,
  STRING,
} from '../language/type.ts';
import { Authorizer, AUTHORIZER_TYPE, RESOURCE_CHECK_TYPE, ResourceCheck } from '../library/authorizer.ts';
import type { CelAuthorize, CelResourceQuery } from '../library/authorizer.ts';
import { CEL_CALL_COST_LIMIT, CelIssue, compileCel } from '../program.ts';
import type { CelProgram } from '../program.ts';
import { celValueOf } from '../value/json-value.ts';
import { LazyMap } from '../value/lazy-map.ts';
import { CelError } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';
import { NAMESPACE_TYPE, REQUEST_TYPE, requestFieldType } from './request-types.ts';

/** Which variables an expression may use beside object, oldObject, request and namespaceObject. */
export interface AdmissionScope {
  readonly params: boolean;
  readonly authorizer: boolean;
  /** `Object{…}` and `JSONPatch{…}` can be made. */
  readonly patches?: boolean;
}

/** The types that a result may have; undefined: any. */
export type AdmissionReturns = readonly CelType[] | undefined;

export const RETURNS_BOOL: AdmissionReturns = [BOOL];
export const RETURNS_STRING: AdmissionReturns = [STRING];
export const RETURNS_STRING_OR_NULL: AdmissionReturns = [STRING, NULL];
export const RETURNS_ANYTHING: AdmissionReturns = undefined;
const OBJECT_TYPE = objectType('Object');
const JSON_PATCH_TYPE = objectType('JSONPatch');
export const RETURNS_OBJECT: AdmissionReturns = [OBJECT_TYPE];
export const RETURNS_JSON_PATCH: AdmissionReturns = [listType(JSON_PATCH_TYPE)];

export interface AdmissionIssue {
  readonly kind: 'invalid' | 'internal';
  readonly message: string;
}

export interface AdmissionExpression {
  readonly expression: string;
  /** Absent where `issue` says why. */
  readonly program: CelProgram | undefined;
  readonly issue: AdmissionIssue | undefined;
}

/** What a request brings. Absent objects are null. */
export interface AdmissionValues {
  readonly object: JsonValue;
  readonly oldObject: JsonValue;
  readonly request: JsonValue;
  readonly namespaceObject: JsonValue;
  readonly params: JsonValue;
  readonly authorizer?: { readonly authorize: CelAuthorize; readonly requestResource: CelResourceQuery };
}

export type AdmissionOutcome = { readonly value: CelValue } | { readonly error: string };

/** No expression is run any more. */
export class AdmissionBudgetError extends Error {
  override readonly name = 'AdmissionBudgetError';

  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run');
  }
}

const VARIABLES_TYPE = objectType('kubernetes.variables');

const ESCAPE_KEY = declareFunction(
  'jsonpatch.escapeKey',
  overload('string_jsonpatch_escapeKey_string', [STRING], STRING, (key: string) =>
    key.replace(/[~/]/g, (character) => (character === '/' ? '~1' : '~0')),
  ),
);

/** `Object` and the types of its fields, `Object.spec` and so on, may have any field. */
function patchType(name: string): CelType | undefined {
  if (name === JSON_PATCH_TYPE.name) return JSON_PATCH_TYPE;
  return name === OBJECT_TYPE.name || name.startsWith(`${OBJECT_TYPE.name}.`) ? objectType(name) : undefined;
}

function patchFieldType(typeName: string, field: string): CelType | undefined {
  if (typeName !== JSON_PATCH_TYPE.name) return patchType(typeName) === undefined ? undefined : DYN;
  if (field === 'value') return DYN;
  return ['op', 'path', 'from'].includes(field) ? STRING : undefined;
}

export interface AdmissionExpressionsOptions {
  /** Whether `variables` is known, even if there are none. Default true. */
  readonly composition?: boolean;
  /** What is known of `object`, `oldObject` and `params`; default: nothing. */
  readonly types?: {
    readonly object: CelType;
    readonly params: CelType;
    readonly fieldType: (typeName: string, field: string) => CelType | undefined;
  };
}

export class AdmissionExpressions {
  readonly #options: AdmissionExpressionsOptions;
  readonly #variables = new Map<string, AdmissionExpression>();
  readonly #environments = new Map<string, CelEnvironment>();

  constructor(options: AdmissionExpressionsOptions = {}) {
    this.#options = options;
  }

  /** Later expressions know it as `variables.name`. */
  addVariable(name: string, expression: string, scope: AdmissionScope): AdmissionExpression {
    const compiled = this.compile(expression, scope, RETURNS_ANYTHING);
    this.#variables.set(name, compiled);
    return compiled;
  }

  compile(expression: string, scope: AdmissionScope, returns: AdmissionReturns): AdmissionExpression {
    const failed = (kind: AdmissionIssue['kind'], message: string): AdmissionExpression => ({
      expression,
      program: undefined,
      issue: { kind, message },
    });
    const program = compileCel(expression, this.#environment(scope));
    if (program instanceof CelIssue)
      return program.kind === 'issues'
        ? failed('invalid', `compilation failed: ${program.message}`)
        : failed('internal', `program instantiation failed: ${program.message}`);
    if (returns !== undefined && !returns.some((type) => sameType(type, program.type)))
      return failed(
        'invalid',
        returns.length === 1
          ? `must evaluate to ${goTypeText(returns[0] as CelType)} but got ${goTypeText(program.type)}`
          : `must evaluate to one of [${returns.map(goTypeText).join(' ')}] but got ${goTypeText(program.type)}`,
      );
    return { expression, program, issue: undefined };
  }

  /** For expressions over one request. They share the variables' values and the budget. */
  run(values: AdmissionValues, budget: number): AdmissionRun {
    return new AdmissionRun(this.#variables, values, budget);
  }

  #environment(scope: AdmissionScope): CelEnvironment {
    const key = `${scope.params} ${scope.authorizer} ${scope.patches === true}`;
    let environment = this.#environments.get(key);
    if (environment === undefined) {
      environment = this.#createEnvironment(scope);
      this.#environments.set(key, environment);
    }
    return environment;
  }

  #createEnvironment({ params, authorizer, patches = false }: AdmissionScope): CelEnvironment {
    const { composition = true, types } = this.#options;
    return createCelEnvironment({
      variables: {
        object: types?.object ?? DYN,
        oldObject: types?.object ?? DYN,
        request: REQUEST_TYPE,
        namespaceObject: NAMESPACE_TYPE,
        ...(params ? { params: types?.params ?? DYN } : {}),
        ...(authorizer
          ? { authorizer: AUTHORIZER_TYPE, 'authorizer.requestResource': RESOURCE_CHECK_TYPE }
          : {}),
        ...(composition ? { variables: VARIABLES_TYPE } : {}),
      },
      fieldType: (typeName, field) => {
        if (typeName === VARIABLES_TYPE.name) return this.#variableType(field);
        return (
          requestFieldType(typeName, field) ??
          types?.fieldType(typeName, field) ??
          (patches ? patchFieldType(typeName, field) : undefined)
        );
      },
      ...(patches ? { messageType: patchType, functions: [ESCAPE_KEY] } : {}),
    });
  }

  /** Objects lose their type, lists and maps keep theirs. */
  #variableType(name: string): CelType | undefined {
    const variable = this.#variables.get(name);
    if (variable === undefined) return undefined;
    return withoutObjects(variable.program?.type ?? DYN);
  }
}

function withoutObjects(type: CelType): CelType {
  switch (type.kind) {
    case 'list':
    case 'map':
      return type.parameters.every((parameter) => withoutObjects(parameter) === parameter)
        ? type
        : new CelType(type.kind, type.name, type.parameters.map(withoutObjects));
    case 'object':
    case 'opaque':
    case 'type':
    case 'unknown':
    case 'error':
    case 'parameter':
      return DYN;
    default:
      return type;
  }
}

export class AdmissionRun {
  readonly #values: Readonly<Record<string, CelResult | undefined>>;
  #budget: number;
  /** What variables have cost since the last expression began. */
  #variablesCost = 0;

  constructor(
    variables: ReadonlyMap<string, AdmissionExpression>,
    { object, oldObject, request, namespaceObject, params, authorizer }: AdmissionValues,
    budget: number,
  ) {
    this.#budget = budget;
    const asking = authorizer === undefined ? undefined : new Authorizer(authorizer.authorize);
    this.#values = {
      object: celValueOf(object),
      oldObject: celValueOf(oldObject),
      request: celValueOf(request),
      namespaceObject: celValueOf(namespaceObject),
      params: celValueOf(params),
      ...(authorizer === undefined || asking === undefined
        ? {}
        : {
            authorizer: asking,
            'authorizer.requestResource': new ResourceCheck(asking, authorizer.requestResource),
          }),
      variables: new LazyMap(variables.keys(), (name) =>
        this.#variable(name, variables.get(name) as AdmissionExpression),
      ),
    };
  }

  /** What may still be spent. */
  get budget(): number {
    return this.#budget;
  }

  /** Throws AdmissionBudgetError. */
  evaluate({ expression, program, issue }: AdmissionExpression): AdmissionOutcome {
    if (program === undefined) return { error: `compilation error: ${issue?.message ?? ''}` };
    this.#variablesCost = 0;
    const { value, cost } = program.evaluate(this.#values, CEL_CALL_COST_LIMIT);
    this.#budget -= this.#variablesCost + cost;
    if (this.#budget < 0) throw new AdmissionBudgetError();
    return value instanceof CelError
      ? { error: `expression '${expression}' resulted in error: ${value.message}` }
      : { value };
  }

  #variable(name: string, { program, issue }: AdmissionExpression): CelResult {
    if (program === undefined)
      return new CelError(`composited variable "${name}" fails to compile: ${issue?.message ?? ''}`);
    const { value, cost } = program.evaluate(this.#values, CEL_CALL_COST_LIMIT);
    this.#variablesCost += cost;
    return value instanceof CelError
      ? new CelError(`composited variable "${name}" fails to evaluate: ${value.message}`)
      : value;
  }
}
