/** The objects that parametrize a policy (k8s.io/apiserver/pkg/admission/plugin/policy/generic). */
import {
  apiextensionsv1,
  resourceInfoByKind,
  resourceType,
  type admissionregistrationv1,
  type KubeObject,
  type ResourceType,
} from '@k8ts/api';
import {
  labelSelectorFromObject,
  matchesLabels,
  SelectorError,
  type LabelSelector,
} from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';

/** A policy or binding cannot be used; its failure policy decides what that means. */
export class PolicyConfigurationError extends Error {
  override readonly name = 'PolicyConfigurationError';
}

/** The resource whose objects are the parameters. Throws PolicyConfigurationError. */
export function paramType(
  { apiVersion = '', kind = '' }: admissionregistrationv1.ParamKind,
  objects: ObjectReader,
): ResourceType<KubeObject> {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  const type = resourceInfoByKind(group, version, kind) ?? customType(group, version, kind, objects);
  if (type === undefined)
    throw new PolicyConfigurationError(
      `failed to find resource referenced by paramKind: '${apiVersion}, Kind=${kind}'`,
    );
  const { resource, namespaced } = type;
  const handle = resourceType<KubeObject>(group, version, resource, kind, namespaced);
  try {
    objects.version(handle);
  } catch {
    throw new PolicyConfigurationError(
      `paramKind kind \`&ParamKind{APIVersion:${apiVersion},Kind:${kind},}\` not known`,
    );
  }
  return handle;
}

function customType(
  group: string,
  version: string,
  kind: string,
  objects: ObjectReader,
): { readonly resource: string; readonly namespaced: boolean } | undefined {
  const definition = objects
    .list(apiextensionsv1.customResourceDefinitions)
    .find(
      ({ spec }) =>
        spec.group === group &&
        spec.names.kind === kind &&
        spec.versions.some(({ name, served }) => served && name === version),
    );
  return definition === undefined
    ? undefined
    : { resource: definition.spec.names.plural, namespaced: definition.spec.scope === 'Namespaced' };
}

/**
 * The objects that a binding names; one undefined where the policy is to run without. None: the policy is not to run.
 * Throws PolicyConfigurationError.
 */
export function collectParams(
  paramKind: admissionregistrationv1.ParamKind | undefined,
  paramRef: admissionregistrationv1.ParamRef | undefined,
  namespace: string,
  objects: ObjectReader,
): readonly (KubeObject | undefined)[] {
  if (paramKind === undefined || paramRef === undefined) return [undefined];
  const type = paramType(paramKind, objects);
  const { name = '', namespace: own = '', selector, parameterNotFoundAction } = paramRef;
  if (own !== '' && !type.namespaced)
    throw new PolicyConfigurationError(
      'paramRef.namespace must not be provided for a cluster-scoped `paramKind`',
    );
  const from = type.namespaced ? own || namespace : '';
  if (type.namespaced && from === '')
    throw new PolicyConfigurationError(
      'cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
    );
  if (name === '' && selector === undefined)
    throw new PolicyConfigurationError('one of name or selector must be provided');
  const params = found(type, from, name, selector, objects);
  if (params.length === 0 && parameterNotFoundAction === 'Deny')
    throw new PolicyConfigurationError(
      'no params found for policy binding with `Deny` parameterNotFoundAction',
    );
  return params;
}

function found(
  type: ResourceType<KubeObject>,
  namespace: string,
  name: string,
  selector: admissionregistrationv1.ParamRef['selector'],
  objects: ObjectReader,
): readonly KubeObject[] {
  if (name !== '') {
    const param = objects.get(type, namespace, name);
    return param === undefined ? [] : [param];
  }
  const parsed = parsedSelector(selector);
  return objects
    .list(type, type.namespaced ? namespace : undefined)
    .filter(({ metadata }) => matchesLabels(parsed, metadata.labels))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

function parsedSelector(selector: admissionregistrationv1.ParamRef['selector']): LabelSelector {
  try {
    return labelSelectorFromObject(selector ?? {});
  } catch (error) {
    if (error instanceof SelectorError) throw new PolicyConfigurationError(error.message);
    throw error;
  }
}
