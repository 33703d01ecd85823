/** Whether a webhook wants to see an operation (k8s.io/apiserver/pkg/admission/plugin/webhook/{generic,predicates}). */
import { corev1, type admissionregistrationv1, type KubeObject, type ResourceType } from '@k8ts/api';
import {
  internalError,
  labelSelectorFromObject,
  matchesLabels,
  notFound,
  SelectorError,
  StatusError,
  type Labels,
} from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionAttributes } from '../contract.ts';
import { isResource } from '../refuse.ts';

export type Webhook = admissionregistrationv1.MutatingWebhook | admissionregistrationv1.ValidatingWebhook;
export type Rule = admissionregistrationv1.RuleWithOperations;

/** What webhooks and policies say of the objects that they want to see. */
export interface Selectors {
  readonly namespaceSelector?: admissionregistrationv1.MatchResources['namespaceSelector'];
  readonly objectSelector?: admissionregistrationv1.MatchResources['objectSelector'];
}

/**
 * The version of the resource in which the webhook wants to see it; undefined when it does not. Throws when it would, but
 * one of its selectors cannot be judged.
 */
export function wantedVersion(
  webhook: Webhook,
  attributes: AdmissionAttributes,
  objects: ObjectReader,
): ResourceType<KubeObject> | undefined {
  const inNamespace = matchesNamespace(webhook, attributes, objects);
  if (inNamespace === false) return undefined;
  const byObject = matchesObject(webhook, attributes);
  if (byObject === false) return undefined;
  const { requested, equivalents } = attributes.versions;
  const rules = webhook.rules ?? [];
  const candidates = webhook.matchPolicy === 'Exact' ? [requested] : [requested, ...equivalents];
  // The version of the request before others; among those, earlier rules first.
  const type =
    (rules.some((rule) => matchesRule(rule, attributes, requested)) ? requested : undefined) ??
    rules
      .map((rule) => candidates.find((candidate) => matchesRule(rule, attributes, candidate)))
      .find((found) => found !== undefined);
  if (type === undefined) return undefined;
  if (inNamespace instanceof StatusError) throw inNamespace;
  if (byObject instanceof StatusError) throw byObject;
  return type;
}

export function matchesRule(
  { operations = [], apiGroups = [], apiVersions = [], resources = [], scope = '*' }: Rule,
  attributes: AdmissionAttributes,
  type: ResourceType<KubeObject>,
): boolean {
  return (
    matchesScope(scope, attributes) &&
    isAmong(operations, attributes.operation) &&
    isAmong(apiGroups, type.group) &&
    isAmong(apiVersions, type.version) &&
    resources.some((entry) => {
      const slash = entry.indexOf('/');
      const resource = slash < 0 ? entry : entry.slice(0, slash);
      const subresource = slash < 0 ? '' : entry.slice(slash + 1);
      return (
        (resource === '*' || resource === type.resource) &&
        (subresource === '*' || subresource === attributes.subresource)
      );
    })
  );
}

function isAmong(items: readonly string[], wanted: string): boolean {
  return items.includes('*') || items.includes(wanted);
}

function matchesScope(scope: string, { resource, namespace }: AdmissionAttributes): boolean {
  if (scope === '*') return true;
  // A namespace is no part of itself.
  const isNamespaced = namespace !== '' && !isResource(resource, corev1.namespaces);
  return scope === 'Namespaced' ? isNamespaced : scope === 'Cluster' && !isNamespaced;
}

/** An error where the namespace is not known, or the selector, stored before selectors were checked, is none. */
export function matchesNamespace(
  { namespaceSelector }: Selectors,
  attributes: AdmissionAttributes,
  objects: ObjectReader,
): boolean | StatusError {
  const { resource, operation, subresource, object, name } = attributes;
  if (isResource(resource, corev1.namespaces)) {
    const isWritten = subresource === '' && (operation === 'CREATE' || operation === 'UPDATE');
    const namespace = isWritten ? object : objects.get(corev1.namespaces, '', name);
    return selects(namespaceSelector, [namespace?.metadata.labels]);
  }
  if (attributes.namespace === '' || isEmpty(namespaceSelector)) return true;
  const namespace = objects.get(corev1.namespaces, '', attributes.namespace);
  if (namespace === undefined) return notFound(corev1.namespaces, attributes.namespace);
  return selects(namespaceSelector, [namespace.metadata.labels]);
}

/** Either what is or what is to be. */
export function matchesObject(
  { objectSelector }: Selectors,
  { object, oldObject }: AdmissionAttributes,
): boolean | StatusError {
  if (isEmpty(objectSelector)) return true;
  const metadata = [object?.metadata, oldObject?.metadata].filter((each) => each !== undefined);
  return selects(
    objectSelector,
    metadata.map(({ labels }) => labels),
  );
}

function selects(
  selector: Selectors['objectSelector'],
  candidates: readonly (Labels | undefined)[],
): boolean | StatusError {
  try {
    const parsed = labelSelectorFromObject(selector ?? {});
    return candidates.some((labels) => matchesLabels(parsed, labels));
  } catch (error) {
    if (error instanceof SelectorError) return internalError(error.message);
    throw error;
  }
}

function isEmpty(selector: Selectors['objectSelector']): boolean {
  return (
    Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0
  );
}
