/** Admission policies and their bindings (pkg/apis/admissionregistration/validation). */
import type { admissionregistrationv1 } from '@k8ts/api';
import {
  AdmissionExpressions,
  child,
  duplicate,
  forbiddenField,
  invalidValue,
  isDNS1035Label,
  isDNS1123Subdomain,
  isPathSegmentName,
  jsonEqual,
  notSupported,
  required,
  RETURNS_BOOL,
  RETURNS_JSON_PATCH,
  RETURNS_OBJECT,
  RETURNS_STRING,
  RETURNS_STRING_OR_NULL,
  validateLabelSelector,
  type AdmissionScope,
  type FieldError,
} from '@k8ts/apimachinery';
import { dnsSubdomain, each, messages, qualifiedName } from '../../field-rules.ts';
import { issueError, validateMatchConditions } from './expressions.ts';
import { FAILURE_POLICIES, REINVOCATION_POLICIES, supported, validateMatchResources } from './rules.ts';

type ValidatingPolicy = admissionregistrationv1.ValidatingAdmissionPolicy;
type MutatingPolicy = admissionregistrationv1.MutatingAdmissionPolicy;

const MAX_AUDIT_ANNOTATIONS = 20;
const MAX_ANNOTATION_EXPRESSION_BYTES = 5 * 1024;
const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];
const ACTIONS = ['Audit', 'Deny', 'Warn'];
const NONE_TO_RUN = 'validations or auditAnnotations must contain at least one item';

/** `old`: what is replaced; conditions that stay are not checked again. */
export function validateValidatingPolicy(
  { metadata, spec }: ValidatingPolicy,
  old?: ValidatingPolicy,
): FieldError[] {
  const params = spec.paramKind !== undefined;
  const scope: AdmissionScope = { params, authorizer: true };
  const { variables = [], validations = [], auditAnnotations = [] } = spec;
  const expressions = new AdmissionExpressions({ composition: variables.length > 0 });
  const errors = [
    ...validateCommon(spec, old?.spec),
    ...each(variables, 'spec.variables', (variable, at) =>
      validateVariable(variable, at, expressions, scope),
    ),
  ];
  if (validations.length === 0 && auditAnnotations.length === 0) {
    errors.push(required('spec.validations', NONE_TO_RUN), required('spec.auditAnnotations', NONE_TO_RUN));
    return errors;
  }
  errors.push(
    ...each(validations, 'spec.validations', (validation, at) =>
      validateValidation(validation, at, expressions, scope),
    ),
  );
  if (auditAnnotations.length > MAX_AUDIT_ANNOTATIONS)
    errors.push(
      invalidValue(
        'spec.auditAnnotations',
        auditAnnotations,
        `must not have more than ${MAX_AUDIT_ANNOTATIONS} auditAnnotations`,
      ),
    );
  errors.push(
    ...each(auditAnnotations, 'spec.auditAnnotations', (annotation, at, i) => [
      ...validateAnnotation(annotation, at, metadata.name, expressions, scope),
      ...(auditAnnotations.findIndex(({ key }) => key === annotation.key) < i
        ? [duplicate(child(at, 'key'), annotation.key)]
        : []),
    ]),
  );
  return errors;
}

export function validateMutatingPolicy({ spec }: MutatingPolicy, old?: MutatingPolicy): FieldError[] {
  const scope: AdmissionScope = { params: spec.paramKind !== undefined, authorizer: true };
  const { variables = [], mutations = [], reinvocationPolicy } = spec;
  const expressions = new AdmissionExpressions({ composition: variables.length > 0 });
  return [
    ...validateCommon(spec, old?.spec),
    ...each(variables, 'spec.variables', (variable, at) =>
      validateVariable(variable, at, expressions, scope),
    ),
    ...(mutations.length === 0
      ? [required('spec.mutations', 'mutations must contain at least one item')]
      : each(mutations, 'spec.mutations', (mutation, at) =>
          validateMutation(mutation, at, expressions, { ...scope, patches: true }),
        )),
    ...(reinvocationPolicy
      ? supported(reinvocationPolicy, REINVOCATION_POLICIES, 'spec.reinvocationPolicy')
      : [required('spec.reinvocationPolicy', '')]),
  ];
}

type CommonSpec = Pick<
  admissionregistrationv1.ValidatingAdmissionPolicySpec,
  'failurePolicy' | 'paramKind' | 'matchConstraints' | 'matchConditions'
>;

function validateCommon(spec: CommonSpec, old: CommonSpec | undefined): FieldError[] {
  const { failurePolicy, paramKind, matchConstraints, matchConditions } = spec;
  const keepsConditions =
    old !== undefined &&
    same(old.paramKind, paramKind) &&
    same(old.matchConditions ?? [], matchConditions ?? []);
  return [
    ...(failurePolicy === undefined
      ? [required('spec.failurePolicy', '')]
      : supported(failurePolicy, FAILURE_POLICIES, 'spec.failurePolicy')),
    ...(paramKind === undefined ? [] : validateParamKind(paramKind, 'spec.paramKind')),
    ...(matchConstraints === undefined
      ? [required('spec.matchConstraints', '')]
      : [
          ...validateMatchResources(matchConstraints, 'spec.matchConstraints'),
          ...((matchConstraints.resourceRules ?? []).length === 0
            ? [required('spec.matchConstraints.resourceRules', '')]
            : []),
        ]),
    ...(keepsConditions
      ? []
      : validateMatchConditions(matchConditions, 'spec.matchConditions', {
          params: paramKind !== undefined,
        })),
  ];
}

function same(a: unknown, b: unknown): boolean {
  return jsonEqual(a ?? null, b ?? null);
}

function validateParamKind(
  { apiVersion = '', kind = '' }: admissionregistrationv1.ParamKind,
  path: string,
): FieldError[] {
  return [
    ...validateApiVersion(apiVersion, child(path, 'apiVersion')),
    ...(kind === ''
      ? [required(child(path, 'kind'), '')]
      : joined(
          isDNS1035Label(kind.toLowerCase()),
          kind,
          child(path, 'kind'),
          'may have mixed case, but should otherwise match: ',
        )),
  ];
}

function validateApiVersion(apiVersion: string, path: string): readonly FieldError[] {
  if (apiVersion === '') return [required(path, '')];
  const parts = apiVersion.split('/');
  if (parts.length > 2)
    return [invalidValue(path, apiVersion, `unexpected GroupVersion string: ${apiVersion}`)];
  const [version = '', group = ''] = parts.reverse();
  return [
    ...(group === '' ? [] : joined(isDNS1123Subdomain(group), group, path)),
    ...(version === ''
      ? [invalidValue(path, apiVersion, 'version must be specified')]
      : joined(isDNS1035Label(version), version, path)),
  ];
}

/** All problems in one error. */
function joined(
  problems: readonly string[],
  value: string,
  path: string,
  before = '',
): readonly FieldError[] {
  return problems.length === 0 ? [] : [invalidValue(path, value, before + problems.join(','))];
}

const IDENTIFIER = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
const RESERVED: ReadonlySet<string> = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

function validateVariable(
  { name, expression }: admissionregistrationv1.Variable,
  path: string,
  expressions: AdmissionExpressions,
  scope: AdmissionScope,
): readonly FieldError[] {
  return [
    ...((name ?? '').trim() === ''
      ? [required(child(path, 'name'), 'name is not specified')]
      : !IDENTIFIER.test(name) || RESERVED.has(name)
        ? [invalidValue(child(path, 'name'), name, 'name is not a valid CEL identifier')]
        : []),
    ...((expression ?? '').trim() === ''
      ? [required(child(path, 'expression'), 'expression is not specified')]
      : issueError(
          expressions.addVariable(name, expression, scope).issue,
          expression,
          child(path, 'expression'),
        )),
  ];
}

function validateValidation(
  validation: admissionregistrationv1.Validation,
  path: string,
  expressions: AdmissionExpressions,
  scope: AdmissionScope,
): readonly FieldError[] {
  const { expression = '', message = '', messageExpression = '', reason } = validation;
  const messagePath = child(path, 'message');
  const messageExpressionPath = child(path, 'messageExpression');
  return [
    ...(expression.trim() === ''
      ? [required(child(path, 'expression'), 'expression is not specified')]
      : issueError(
          expressions.compile(expression, scope, RETURNS_BOOL).issue,
          expression,
          child(path, 'expression'),
        )),
    ...(messageExpression === ''
      ? []
      : messageExpression.trim() === ''
        ? [invalidValue(messageExpressionPath, messageExpression, 'must be non-empty if specified')]
        : issueError(
            expressions.compile(messageExpression, { ...scope, authorizer: false }, RETURNS_STRING).issue,
            messageExpression,
            messageExpressionPath,
          )),
    ...(message !== '' && message.trim() === ''
      ? [invalidValue(messagePath, message, 'message must be non-empty if specified')]
      : /[\n\r]/.test(message.trim())
        ? [invalidValue(messagePath, message, 'message must not contain line breaks')]
        : []),
    ...supported(reason, REASONS, child(path, 'reason')),
  ];
}

function validateAnnotation(
  { key, valueExpression = '' }: admissionregistrationv1.AuditAnnotation,
  path: string,
  policyName: string | undefined,
  expressions: AdmissionExpressions,
  scope: AdmissionScope,
): readonly FieldError[] {
  const keyPath = child(path, 'key');
  const valuePath = child(path, 'valueExpression');
  const text = valueExpression.trim();
  return [
    ...(policyName
      ? qualifiedName(`${policyName}/${key}`, keyPath)
      : [invalidValue(keyPath, key, 'requires metadata.name be non-empty')]),
    ...(text === ''
      ? [required(valuePath, 'valueExpression is not specified')]
      : Buffer.byteLength(text) > MAX_ANNOTATION_EXPRESSION_BYTES
        ? [required(valuePath, `must not exceed ${MAX_ANNOTATION_EXPRESSION_BYTES} bytes in length`)]
        : issueError(
            expressions.compile(text, scope, RETURNS_STRING_OR_NULL).issue,
            valueExpression,
            valuePath,
          )),
  ];
}

function validateMutation(
  { patchType, applyConfiguration, jsonPatch }: admissionregistrationv1.Mutation,
  path: string,
  expressions: AdmissionExpressions,
  scope: AdmissionScope,
): readonly FieldError[] {
  const expression = (
    given: { readonly expression?: string } | undefined,
    other: unknown,
    names: readonly [own: string, other: string],
    returns: typeof RETURNS_OBJECT,
  ): readonly FieldError[] => {
    const at = child(path, names[0], 'expression');
    const text = given?.expression ?? '';
    return [
      ...(given === undefined
        ? [required(child(path, names[0]), `must be specified when patchType is ${patchType}`)]
        : text.trim() === ''
          ? [required(at, 'expression is not specified')]
          : issueError(expressions.compile(text, scope, returns).issue, text, at)),
      ...(other === undefined
        ? []
        : [
            invalidValue(child(path, names[1]), '{}', `must not be specified when patchType is ${patchType}`),
          ]),
    ];
  };
  switch (patchType) {
    case 'ApplyConfiguration':
      return expression(applyConfiguration, jsonPatch, ['applyConfiguration', 'jsonPatch'], RETURNS_OBJECT);
    case 'JSONPatch':
      return expression(
        jsonPatch,
        applyConfiguration,
        ['jsonPatch', 'applyConfiguration'],
        RETURNS_JSON_PATCH,
      );
    default:
      return (patchType as string | undefined)
        ? [notSupported(child(path, 'patchType'), patchType, ['ApplyConfiguration', 'JSONPatch'])]
        : [required(child(path, 'patchType'), '')];
  }
}

type Binding = admissionregistrationv1.MutatingAdmissionPolicyBinding['spec'];

/** Upstream's path of `matchResources` lacks a letter. */
export function validateBinding({ policyName = '', paramRef, matchResources }: Binding): FieldError[] {
  return [
    ...(policyName === '' ? [required('spec.policyName', '')] : dnsSubdomain(policyName, 'spec.policyName')),
    ...(paramRef === undefined ? [] : validateParamRef(paramRef, 'spec.paramRef')),
    ...(matchResources === undefined ? [] : validateMatchResources(matchResources, 'spec.matchResouces')),
  ];
}

function validateParamRef(
  { name = '', selector, parameterNotFoundAction }: admissionregistrationv1.ParamRef,
  path: string,
): FieldError[] {
  const both = name !== '' && selector !== undefined;
  const exclusive = 'name and selector are mutually exclusive';
  return [
    ...(name === '' ? [] : messages(isPathSegmentName(name), name, child(path, 'name'))),
    ...(both ? [forbiddenField(child(path, 'name'), exclusive)] : []),
    ...validateLabelSelector(selector, child(path, 'selector')),
    ...(both ? [forbiddenField(child(path, 'selector'), exclusive)] : []),
    ...(name === '' && selector === undefined
      ? [required(path, 'one of name or selector must be specified')]
      : []),
    ...(parameterNotFoundAction
      ? supported(parameterNotFoundAction, ['Deny', 'Allow'], child(path, 'parameterNotFoundAction'))
      : [required(child(path, 'parameterNotFoundAction'), '')]),
  ];
}

export function validateActions(actions: readonly string[], path: string): FieldError[] {
  const errors = each(actions, path, (action, at, i) => [
    ...supported(action, ACTIONS, at),
    ...(actions.indexOf(action) < i ? [duplicate(at, action)] : []),
  ]);
  if (actions.includes('Deny') && actions.includes('Warn'))
    errors.push(
      invalidValue(
        path,
        actions,
        'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ),
    );
  if (actions.length === 0) errors.push(required(path, 'at least one validation action is required'));
  return errors;
}
