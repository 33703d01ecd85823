/** Whether a policy or its binding is about a request (k8s.io/apiserver/pkg/admission/plugin/policy/matching). */
import type { admissionregistrationv1, KubeObject, ResourceType } from '@k8ts/api';
import { StatusError } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionAttributes } from '../contract.ts';
import { matchesNamespace, matchesObject, matchesRule } from '../webhooks/matching.ts';

type NamedRule = admissionregistrationv1.NamedRuleWithOperations;

/**
 * The version of the resource in which the policy wants to see it; undefined when it does not. Throws a StatusError when
 * it would, but one of its selectors cannot be judged.
 */
export function matchedVersion(
  match: admissionregistrationv1.MatchResources,
  attributes: AdmissionAttributes,
  objects: ObjectReader,
): ResourceType<KubeObject> | undefined {
  const inNamespace = matchesNamespace(match, attributes, objects);
  if (inNamespace === false) return undefined;
  const byObject = matchesObject(match, attributes);
  if (byObject === false) return undefined;
  const { matchPolicy, resourceRules = [], excludeResourceRules = [] } = match;
  if (ruleVersion(excludeResourceRules, matchPolicy, attributes) !== undefined) return undefined;
  const type =
    resourceRules.length === 0
      ? attributes.versions.requested
      : ruleVersion(resourceRules, matchPolicy, attributes);
  if (type === undefined) return undefined;
  if (inNamespace instanceof StatusError) throw inNamespace;
  if (byObject instanceof StatusError) throw byObject;
  return type;
}

/** The version of the request before others; among those, earlier rules first. */
function ruleVersion(
  rules: readonly NamedRule[],
  matchPolicy: string | undefined,
  attributes: AdmissionAttributes,
): ResourceType<KubeObject> | undefined {
  const { requested, equivalents } = attributes.versions;
  const matches = (rule: NamedRule, type: ResourceType<KubeObject>): boolean =>
    matchesRule(rule, attributes, type) && isNamed(rule, attributes.name);
  if (rules.some((rule) => matches(rule, requested))) return requested;
  if (matchPolicy === undefined || matchPolicy === 'Exact') return undefined;
  for (const rule of rules) {
    const type = equivalents.find((equivalent) => matches(rule, equivalent));
    if (type !== undefined) return type;
  }
  return undefined;
}

function isNamed({ resourceNames = [] }: NamedRule, name: string): boolean {
  return resourceNames.length === 0 || resourceNames.includes(name);
}
