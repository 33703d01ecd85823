import type { KubeObject } from '@k8ts/api';

/** The class that one of the annotations calls the default; of several the newest, then the first by name. */
export function defaultClass<T extends KubeObject>(
  classes: readonly T[],
  ...annotations: readonly string[]
): T | undefined {
  let chosen: T | undefined;
  for (const candidate of classes) {
    const { annotations: present } = candidate.metadata;
    if (present === undefined || !annotations.some((name) => present[name] === 'true')) continue;
    if (chosen === undefined || isBefore(candidate, chosen)) chosen = candidate;
  }
  return chosen;
}

function isBefore({ metadata: one }: KubeObject, { metadata: other }: KubeObject): boolean {
  const [created = '', createdOther = ''] = [one.creationTimestamp, other.creationTimestamp];
  return created === createdOther ? (one.name ?? '') < (other.name ?? '') : created > createdOther;
}
