/** What is read from and written to APIServices (kube-aggregator/pkg/apis/apiregistration/v1/helper). */
import type { apiregistrationv1 } from '@k8ts/api';

export type APIService = apiregistrationv1.APIService;
type Condition = apiregistrationv1.APIServiceCondition;

export const LOCALLY_AVAILABLE: Condition = {
  type: 'Available',
  status: 'True',
  reason: 'Local',
  message: 'Local APIServices are always available',
};

export function availability({ status }: APIService): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === 'Available');
}

export function isAvailable(apiService: APIService): boolean {
  return availability(apiService)?.status === 'True';
}

/** The status with the condition in it; `now` is when it changed, if it did. Gives `status` itself where nothing differs. */
export function withCondition(
  status: APIService['status'],
  condition: Condition,
  now: string,
): NonNullable<APIService['status']> {
  const conditions = status?.conditions ?? [];
  const at = conditions.findIndex(({ type }) => type === condition.type);
  const known = conditions[at];
  if (known === undefined)
    return { ...status, conditions: [...conditions, { ...condition, lastTransitionTime: now }] };
  if (
    known.status === condition.status &&
    known.reason === condition.reason &&
    known.message === condition.message
  )
    return status as NonNullable<APIService['status']>;
  const since = known.status === condition.status ? known.lastTransitionTime : now;
  const next = { ...condition, ...(since === undefined ? {} : { lastTransitionTime: since }) };
  return { ...status, conditions: conditions.with(at, next) };
}
