import { appsv1, batchv1, corev1 } from '@k8ts/api';
import type { Draft, KubeObject } from '@k8ts/api';
import { aggregateText, fieldErrorText, internalError, invalid } from '@k8ts/apimachinery';
import type { Counter, Metrics } from '@k8ts/base';
import { isDeepStrictEqual } from 'node:util';
import type { ObjectReader } from '../../../object-reader.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../../contract.ts';
import { isResource, refuse } from '../../refuse.ts';
import type { Violation } from './check.ts';
import { NOTHING_CONFIGURED, type PodSecurityConfiguration } from './configuration.ts';
import { detailsText, evaluatePod } from './evaluation.ts';
import { existingPodWarnings } from './existing-pods.ts';
import {
  isStricter,
  levelVersionText,
  PREFIX,
  policyOf,
  sameLevelVersion,
  versionText,
  type LevelVersion,
  type Mode,
  type NamespacePolicy,
} from './policy.ts';

export interface PodSecurityOptions {
  readonly objects: ObjectReader;
  readonly metrics?: Metrics;
  /** This server's version, beyond which policies are of the future; only for metrics. */
  readonly minor?: number;
  readonly configuration?: PodSecurityConfiguration;
}

const CONTROLLERS = [
  corev1.replicationControllers,
  corev1.podTemplates,
  appsv1.replicaSets,
  appsv1.deployments,
  appsv1.statefulSets,
  appsv1.daemonSets,
  batchv1.jobs,
  batchv1.cronJobs,
];

/** They do not change what runs. Others are looked at, also those that are not known yet. */
const IGNORED_SUBRESOURCES = [
  'attach',
  'binding',
  'eviction',
  'exec',
  'log',
  'portforward',
  'proxy',
  'status',
];

type Template = Draft<corev1.PodTemplateSpec> | undefined;

/**
 * Holds pods to the Pod Security Standard that the labels of their namespace ask for (KEP-2579), and warns of workloads
 * whose pods would not be let in. Namespaces without such labels are free of it. What the third mode finds goes to the audit.
 */
export function podSecurity({
  objects,
  metrics,
  minor = 36,
  configuration = NOTHING_CONFIGURED,
}: PodSecurityOptions): AdmissionPlugin {
  const count = evaluationCounter(metrics, minor);
  const { defaults, exemptions } = configuration;
  const isExemptRuntimeClass = (spec: { readonly runtimeClassName?: string } | undefined): boolean =>
    spec?.runtimeClassName !== undefined && exemptions.runtimeClasses.has(spec.runtimeClassName);
  return {
    name: 'PodSecurity',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) =>
      isResource(resource, corev1.pods)
        ? !IGNORED_SUBRESOURCES.includes(subresource)
        : subresource === '' && isResource(resource, corev1.namespaces, ...CONTROLLERS),

    validate(attributes) {
      if (isResource(attributes.resource, corev1.namespaces)) validateNamespace(attributes);
      else if (isResource(attributes.resource, corev1.pods)) validatePod(attributes);
      else validateController(attributes);
    },
  };

  /** What is exempt is not looked at, but noted. */
  function isExempt(attributes: AdmissionAttributes, pod?: Draft<corev1.PodSpec>): boolean {
    const exempt = exemptions.namespaces.has(attributes.namespace)
      ? 'namespace'
      : exemptions.usernames.has(attributes.user.name)
        ? 'user'
        : isExemptRuntimeClass(pod)
          ? 'runtimeClass'
          : undefined;
    if (exempt === undefined) return false;
    attributes.annotate?.(`${PREFIX}exempt`, exempt);
    count.exemption(attributes);
    return true;
  }

  function validatePod(attributes: AdmissionAttributes): void {
    if (isExempt(attributes)) return;
    const namespace = objects.get(corev1.namespaces, '', attributes.namespace);
    if (namespace === undefined)
      throw internalError(new Error(`failed to lookup namespace "${attributes.namespace}"`));
    const found = policyOf(namespace.metadata.labels, defaults);
    if (isPrivileged(found, 'enforce', 'audit', 'warn')) {
      count.evaluation('allow', found.policy.enforce, 'enforce', attributes);
      attributes.annotate?.(`${PREFIX}enforce-policy`, levelVersionText(found.policy.enforce));
      return;
    }
    const pod = attributes.object as Draft<corev1.Pod>;
    const old = attributes.oldObject as corev1.Pod | undefined;
    if (old !== undefined && !changesContainers(pod, old)) return;
    evaluate(attributes, found, pod, true);
  }

  function validateController(attributes: AdmissionAttributes): void {
    if (isExempt(attributes)) return;
    const namespace = objects.get(corev1.namespaces, '', attributes.namespace);
    if (namespace === undefined) return;
    const found = policyOf(namespace.metadata.labels, defaults);
    if (isPrivileged(found, 'audit', 'warn')) return;
    const template = templateOf(attributes.object as Draft<KubeObject>);
    if (template !== undefined) evaluate(attributes, found, template, false);
  }

  function evaluate(
    attributes: AdmissionAttributes,
    { policy, errors }: NamespacePolicy,
    { spec, metadata = {} }: Draft<corev1.PodTemplateSpec>,
    enforced: boolean,
  ): void {
    if (isExempt(attributes, spec)) return;
    if (errors.length > 0) {
      count.error(attributes);
      attributes.annotate?.(
        `${PREFIX}error`,
        `Failed to parse policy: ${aggregateText(errors.map(fieldErrorText))}`,
      );
    }
    const results = new Map<string, readonly Violation[]>();
    const violationsOf = (mode: Mode): readonly Violation[] => {
      const key = levelVersionText(policy[mode]);
      let violations = results.get(key);
      // A template may be without a spec only where validation refuses it.
      if (violations === undefined)
        results.set(key, (violations = evaluatePod(policy[mode], spec ?? { containers: [] }, metadata)));
      return violations;
    };
    const violated = enforced ? violationsOf('enforce') : [];
    if (enforced) {
      count.evaluation(violated.length > 0 ? 'deny' : 'allow', policy.enforce, 'enforce', attributes);
      attributes.annotate?.(`${PREFIX}enforce-policy`, levelVersionText(policy.enforce));
    }
    const audited = violationsOf('audit');
    if (audited.length > 0) {
      count.evaluation('deny', policy.audit, 'audit', attributes);
      attributes.annotate?.(
        `${PREFIX}audit-violations`,
        `would violate PodSecurity "${levelVersionText(policy.audit)}": ${detailsText(audited)}`,
      );
    }
    if (violated.length > 0)
      throw refuse(
        attributes,
        `violates PodSecurity "${levelVersionText(policy.enforce)}": ${detailsText(violated)}`,
      );
    const warned = violationsOf('warn');
    if (warned.length === 0) return;
    attributes.warn(`would violate PodSecurity "${levelVersionText(policy.warn)}": ${detailsText(warned)}`);
    count.evaluation('deny', policy.warn, 'warn', attributes);
  }

  function validateNamespace(attributes: AdmissionAttributes): void {
    const namespace = attributes.object as Draft<corev1.Namespace>;
    const old = attributes.oldObject as corev1.Namespace | undefined;
    const { policy, errors } = policyOf(namespace.metadata.labels, defaults);
    const before = old && policyOf(old.metadata.labels, defaults);
    // What was wrong before may stay.
    if (
      errors.length > 0 &&
      !(before && before.errors.length > 0 && isDeepStrictEqual(errors, before.errors))
    )
      throw invalid(attributes.resource, attributes.name, errors);
    if (before === undefined) return;
    const { enforce } = policy;
    const { enforce: previous } = before.policy;
    if (enforce.level === 'privileged' || sameLevelVersion(enforce, previous)) return;
    if (enforce.version === previous.version && !isStricter(enforce.level, previous.level)) return;
    const name = namespace.metadata.name ?? '';
    if (exemptions.namespaces.has(name)) return;
    const pods = objects.list(corev1.pods, name).filter((pod) => !isExemptRuntimeClass(pod.spec));
    for (const warning of existingPodWarnings(name, enforce, pods)) attributes.warn(warning);
  }
}

function isPrivileged({ policy, errors }: NamespacePolicy, ...modes: readonly Mode[]): boolean {
  return errors.length === 0 && modes.every((mode) => policy[mode].level === 'privileged');
}

/** An image, or a container, is new: the rest of a pod that matters cannot change. */
function changesContainers(pod: Draft<corev1.Pod>, old: corev1.Pod): boolean {
  const differ = (
    now: readonly { readonly image?: string }[] = [],
    before: readonly { readonly image?: string }[] = [],
  ): boolean => now.length !== before.length || now.some(({ image }, i) => image !== before[i]?.image);
  if (differ(pod.spec.containers, old.spec.containers)) return true;
  if (differ(pod.spec.initContainers, old.spec.initContainers)) return true;
  return (pod.spec.ephemeralContainers ?? []).some(({ name, image }) => {
    const same = old.spec.ephemeralContainers?.find((container) => container.name === name);
    return same === undefined || same.image !== image;
  });
}

/** A ReplicationController may be without one. */
function templateOf(controller: Draft<KubeObject>): Template {
  const { template, spec } = controller as {
    template?: Template;
    spec?: { template?: Template; jobTemplate?: { spec?: { template?: Template } } };
  };
  return template ?? spec?.template ?? spec?.jobTemplate?.spec?.template;
}

interface EvaluationCounter {
  evaluation(
    decision: 'allow' | 'deny',
    policy: LevelVersion,
    mode: Mode,
    attributes: AdmissionAttributes,
  ): void;
  /** Labels that could not be read; the pod was evaluated nevertheless. */
  error(attributes: AdmissionAttributes): void;
  exemption(attributes: AdmissionAttributes): void;
}

function evaluationCounter(metrics: Metrics | undefined, minor: number): EvaluationCounter {
  const where = ['request_operation', 'resource', 'subresource'];
  const evaluations: Counter | undefined = metrics?.counter({
    name: 'pod_security_evaluations_total',
    help: 'Number of policy evaluations that occurred, not counting ignored or exempt requests.',
    labels: ['decision', 'policy_level', 'policy_version', 'mode', ...where],
  });
  const errors: Counter | undefined = metrics?.counter({
    name: 'pod_security_errors_total',
    help: 'Number of errors preventing normal evaluation. Non-fatal errors may result in the latest restricted profile being used for evaluation.',
    labels: ['fatal', ...where],
  });
  const exemptions: Counter | undefined = metrics?.counter({
    name: 'pod_security_exemptions_total',
    help: 'Number of exempt requests, not counting ignored or out of scope requests.',
    labels: where,
  });
  const whereOf = ({ operation, resource, subresource }: AdmissionAttributes): string[] => [
    operation.toLowerCase(),
    isResource(resource, corev1.pods) ? 'pod' : 'controller',
    subresource,
  ];
  return {
    evaluation(decision, { level, version }, mode, attributes) {
      if (evaluations === undefined) return;
      const shown =
        level === 'privileged'
          ? 'latest'
          : version !== 'latest' && version > minor
            ? 'future'
            : versionText(version);
      evaluations.increment([decision, level, shown, mode, ...whereOf(attributes)]);
    },
    error(attributes) {
      errors?.increment(['false', ...whereOf(attributes)]);
    },
    exemption(attributes) {
      exemptions?.increment(whereOf(attributes));
    },
  };
}
