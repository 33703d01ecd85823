/** One MutatingAdmissionPolicy, compiled (k8s.io/apiserver/pkg/admission/plugin/policy/mutating). */
import type { admissionregistrationv1, KubeObject, Schema } from '@k8ts/api';
import {
  AdmissionExpressions,
  appliedObject,
  applyJsonPatch,
  CEL_RUNTIME_COST_BUDGET,
  jsonPatchOperations,
  mergeConfiguration,
  RETURNS_JSON_PATCH,
  RETURNS_OBJECT,
  type AdmissionExpression,
  type AdmissionScope,
  type AdmissionValues,
  type JsonObject,
  type JsonValue,
} from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { MatchConditions } from '../expressions/match-conditions.ts';

interface Mutation {
  readonly kind: admissionregistrationv1.Mutation['patchType'];
  readonly expression: AdmissionExpression;
}

export class MutatingPolicy {
  readonly mutations: readonly Mutation[];
  /** Undefined: all requests. */
  readonly conditions: MatchConditions | undefined;
  readonly #expressions = new AdmissionExpressions();

  constructor({ spec }: admissionregistrationv1.MutatingAdmissionPolicy) {
    const scope: AdmissionScope = { params: spec.paramKind !== undefined, authorizer: true };
    for (const { name, expression } of spec.variables ?? [])
      this.#expressions.addVariable(name, expression, scope);
    const conditions = spec.matchConditions ?? [];
    this.conditions =
      conditions.length === 0 ? undefined : new MatchConditions(conditions, this.#expressions, scope);
    this.mutations = (spec.mutations ?? []).map(({ patchType, applyConfiguration, jsonPatch }) => ({
      kind: patchType,
      expression: this.#expressions.compile(
        (patchType === 'JSONPatch' ? jsonPatch : applyConfiguration)?.expression ?? '',
        { ...scope, patches: true },
        patchType === 'JSONPatch' ? RETURNS_JSON_PATCH : RETURNS_OBJECT,
      ),
    }));
  }

  /** The object as one mutation makes it. Throws an Error. */
  apply(
    { kind, expression }: Mutation,
    shown: KubeObject,
    schema: Schema,
    values: AdmissionValues,
  ): JsonValue {
    if (expression.issue !== undefined) throw new Error(expression.issue.message);
    const outcome = this.#expressions.run(values, CEL_RUNTIME_COST_BUDGET).evaluate(expression);
    if ('error' in outcome) throw new Error(outcome.error);
    const live = shown as unknown as JsonObject;
    if (kind === 'JSONPatch') return patched(live, jsonPatchOperations(outcome.value));
    const { apiVersion, kind: ofObject } = live;
    const configuration = { ...(appliedObject(outcome.value) as JsonObject), apiVersion, kind: ofObject };
    try {
      return mergeConfiguration(live, configuration, schema);
    } catch (error) {
      throw new Error(`error applying patch: ${errorMessage(error)}`);
    }
  }
}

/** A test that fails leaves the object as it is. */
function patched(object: JsonObject, operations: readonly JsonValue[]): JsonValue {
  try {
    return applyJsonPatch(object, operations);
  } catch (error) {
    const message = errorMessage(
      error instanceof Error && error.cause instanceof Error ? error.cause : error,
    );
    if (message.endsWith('failed: test failed')) return object;
    throw new Error(`JSON Patch: ${message}`);
  }
}
