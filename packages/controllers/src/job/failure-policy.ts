import type { batchv1, corev1 } from '@k8ts/api';

/** What a job's policy says of a failed pod. */
export interface FailureVerdict {
  /** The rule's action; undefined when none matched. */
  readonly action: batchv1.PodFailurePolicyAction | undefined;
  /** Whether it counts towards the back-off limit. */
  readonly counts: boolean;
  /** Why the job fails, where it does at once. */
  readonly message: string | undefined;
}

const COUNTS: FailureVerdict = { action: undefined, counts: true, message: undefined };

/** The first rule that matches decides (KEP-3329). */
export function failureVerdict(
  policy: batchv1.PodFailurePolicy | undefined,
  pod: corev1.Pod,
): FailureVerdict {
  if (policy === undefined) return COUNTS;
  for (const [index, rule] of policy.rules.entries()) {
    const cause = causeOf(rule, pod);
    if (cause === undefined) continue;
    const { action } = rule;
    return {
      action,
      counts: action !== 'Ignore',
      message: action === 'FailJob' ? `${cause} matching ${action} rule at index ${index}` : undefined,
    };
  }
  return COUNTS;
}

function causeOf(
  { onExitCodes, onPodConditions }: batchv1.PodFailurePolicyRule,
  pod: corev1.Pod,
): string | undefined {
  const { namespace = '', name } = pod.metadata;
  const { conditions = [], containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  if (onExitCodes !== undefined) {
    const container = [...containerStatuses, ...initContainerStatuses].find((status) =>
      hasExitCode(status, onExitCodes),
    );
    return (
      container &&
      `Container ${container.name} for pod ${namespace}/${name} failed with exit code ${container.state?.terminated?.exitCode ?? 0}`
    );
  }
  const condition = conditions.find(({ type, status }) =>
    onPodConditions?.some((pattern) => pattern.type === type && (pattern.status ?? 'True') === status),
  );
  return condition && `Pod ${namespace}/${name} has condition ${condition.type}`;
}

function hasExitCode(
  { name, state }: corev1.ContainerStatus,
  { containerName, operator, values }: batchv1.PodFailurePolicyOnExitCodesRequirement,
): boolean {
  const code = state?.terminated?.exitCode;
  if (code === undefined || code === 0) return false;
  if (containerName !== undefined && containerName !== name) return false;
  return operator === 'In' ? values.includes(code) : operator === 'NotIn' && !values.includes(code);
}
