import { goQuote, parseQuantity, quantityMilliValue, quantityValue } from '@k8ts/apimachinery';

import type { Container, Pod, ResourceList } from '../pod/types.ts';

/** Addresses that a pod may ask for by the downward API. */
export interface PodAddresses {
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
}

/** The value of a `fieldRef`: of environment variables and, but for addresses and spec fields, of volumes. */
export function fieldValue(pod: Pod, fieldPath: string, { podIps, hostIps }: PodAddresses): string {
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(fieldPath);
  if (subscript !== null)
    return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2] as string] ?? '';
  switch (fieldPath) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'metadata.labels':
      return formatMap(pod.metadata.labels);
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations);
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? '';
    case 'status.hostIP':
      return hostIps[0] ?? '';
    case 'status.hostIPs':
      return hostIps.join(',');
    case 'status.podIP':
      return podIps[0] ?? '';
    case 'status.podIPs':
      return podIps.join(',');
    default:
      throw new Error(`unsupported fieldPath: ${fieldPath}`);
  }
}

/** Lines `key="value"`, sorted, values quoted as Go quotes them (pkg/fieldpath: FormatMap). */
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${goQuote(map?.[key] ?? '')}`)
    .join('\n');
}

/** The value of a `resourceFieldRef`, rounded up to whole divisors; a limit that is not set is what the node can give. */
export function resourceFieldValue(
  container: Container,
  resource: string,
  divisor: string | undefined,
  allocatable: ResourceList,
): string {
  const [kind, ...rest] = resource.split('.');
  const name = rest.join('.');
  const { requests, limits } = container.resources ?? {};
  let amount: string | undefined;
  if (kind === 'limits')
    amount =
      limits?.[name] ??
      (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' ? allocatable[name] : undefined);
  else if (kind === 'requests') amount = requests?.[name] ?? limits?.[name];
  const known =
    name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-');
  if ((kind !== 'limits' && kind !== 'requests') || !known)
    throw new Error(`unsupported container resource : ${resource}`);
  const quantity = parseQuantity(amount ?? '0');
  const by = parseQuantity(divisor === undefined || divisor === '0' ? '1' : divisor);
  const value =
    name === 'cpu'
      ? Math.ceil(quantityMilliValue(quantity) / quantityMilliValue(by))
      : Math.ceil(quantityValue(quantity) / quantityValue(by));
  return String(value);
}
