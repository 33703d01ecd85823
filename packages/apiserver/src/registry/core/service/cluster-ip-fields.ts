/**
 * The fields clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy belong together; these functions bring them in line
 * before anything is allocated, and say what is wrong with them.
 */
import type { corev1, Draft } from '@k8ts/api';
import { duplicate, index, invalidValue, notSupported, required, type FieldError } from '@k8ts/apimachinery';
import { IP_FAMILIES } from '../../field-rules.ts';
import { isDualStack, parseIp, validateLegacyIp } from '../../ip-addresses.ts';
import { familyOf, type IpFamily } from './address-range.ts';
import {
  isHeadless,
  needsClusterIp,
  needsHealthCheckPort,
  needsNodePorts,
  sameClusterIps,
  sameList,
} from './fields.ts';

type Service = corev1.Service;
type ServiceDraft = Draft<Service>;

const IP_FAMILY_POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];

/** Clients may know clusterIP only; clusterIPs follows it. */
export function normalizeClusterIps({ spec }: ServiceDraft, old: Service | undefined): void {
  const { clusterIP = '', clusterIPs = [] } = spec;
  if (old === undefined) {
    if (clusterIP !== '' && clusterIPs.length === 0) spec.clusterIPs = [clusterIP];
    return;
  }
  const { clusterIP: oldIp = '', clusterIPs: oldIps = [] } = old.spec ?? {};
  if (oldIps.length > 0 && clusterIPs.length === 0 && oldIp === clusterIP) spec.clusterIPs = [...oldIps];
  if (oldIp === clusterIP) return;
  // The one field changed and the other did not: the other follows.
  if (!sameList(oldIps, spec.clusterIPs)) return;
  if (clusterIP === '') delete spec.clusterIPs;
  else spec.clusterIPs = [clusterIP];
}

/** A client that sends what it once created does not mean to give its addresses and ports back. */
export function keepAllocated(service: ServiceDraft, old: Service): void {
  const { spec } = service;
  const before = old.spec ?? {};
  if (needsClusterIp(old) && needsClusterIp(service)) {
    if (!spec.clusterIP && before.clusterIP !== undefined) spec.clusterIP = before.clusterIP;
    if ((spec.clusterIPs ?? []).length === 0 && (before.clusterIPs ?? []).length > 0)
      spec.clusterIPs = [...(before.clusterIPs ?? [])];
  }
  if (needsNodePorts(old) && needsNodePorts(service)) keepNodePorts(spec.ports ?? [], before.ports ?? []);
  if (
    needsHealthCheckPort(old) &&
    needsHealthCheckPort(service) &&
    !spec.healthCheckNodePort &&
    before.healthCheckNodePort !== undefined
  )
    spec.healthCheckNodePort = before.healthCheckNodePort;
}

/** By the ports' names; a node port that the request uses for another port is not given twice. */
function keepNodePorts(
  ports: readonly Draft<corev1.ServicePort>[],
  old: readonly corev1.ServicePort[],
): void {
  const known = new Set(old.flatMap(({ nodePort = 0 }) => (nodePort === 0 ? [] : [nodePort])));
  const used = new Set(ports.flatMap(({ nodePort = 0 }) => (known.has(nodePort) ? [nodePort] : [])));
  const byName = new Map(old.map((port) => [port.name ?? '', port.nodePort ?? 0]));
  for (const port of ports) {
    const before = byName.get(port.name ?? '') ?? 0;
    if (!port.nodePort && before !== 0 && !used.has(before)) port.nodePort = before;
  }
}

/** A PreferDualStack service stays as it is when the cluster gains or loses a family. */
export function isUnchangedPreferDualStack(service: Service, old: Service | undefined): boolean {
  return (
    old !== undefined &&
    service.spec?.ipFamilyPolicy === 'PreferDualStack' &&
    old.spec?.ipFamilyPolicy === 'PreferDualStack' &&
    old.spec.type === service.spec.type &&
    needsClusterIp(service) &&
    sameClusterIps(old, service) &&
    sameList(old.spec.ipFamilies, service.spec.ipFamilies)
  );
}

/**
 * Fills in the policy and the families. Returns what is wrong; later steps run only when nothing is.
 * `families`: those of the cluster, the default first.
 */
export function completeIpFamilies(
  service: ServiceDraft,
  old: Service | undefined,
  families: readonly IpFamily[],
): readonly FieldError[] {
  const { spec } = service;
  if (spec.type === 'ExternalName' || isUnchangedPreferDualStack(service, old)) return [];
  const selectorless = Object.keys(spec.selector ?? {}).length === 0;
  const headlessWithoutSelector = spec.clusterIP === 'None' && selectorless;
  spec.ipFamilyPolicy ??=
    old?.spec?.ipFamilyPolicy ?? (headlessWithoutSelector ? 'RequireDualStack' : 'SingleStack');
  const wrong = validateClusterIpFields(service, old);
  if (wrong.length > 0) return wrong;

  const errors: FieldError[] = old === undefined ? [] : completeUpdate(service, old);
  const single = spec.ipFamilyPolicy === 'SingleStack';
  if (single) {
    const MULTIPLE = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
    if (spec.clusterIPs?.length === 2)
      errors.push(
        invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, `${MULTIPLE} cluster IPs are specified`),
      );
    if (spec.ipFamilies?.length === 2)
      errors.push(
        invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, `${MULTIPLE} IP families are specified`),
      );
  }
  for (const [i, address] of (spec.clusterIPs ?? []).entries()) {
    if (address === 'None') break;
    if (i < (spec.ipFamilies?.length ?? 0)) continue;
    const family = familyOf(address);
    if (families.includes(family)) (spec.ipFamilies ??= []).push(family);
    else
      errors.push(
        invalidValue(
          index('spec.clusterIPs', i),
          spec.clusterIPs,
          `${family} is not configured on this cluster`,
        ),
      );
  }
  if (errors.length > 0) return errors;

  const other = (family: string): IpFamily => (family === 'IPv4' ? 'IPv6' : 'IPv4');
  if (headlessWithoutSelector) {
    // Nobody knows of which family its endpoints will be.
    const chosen = spec.ipFamilies?.length ? spec.ipFamilies : [families[0] as IpFamily];
    spec.ipFamilies = chosen.length < 2 && !single ? [...chosen, other(chosen[0] as string)] : chosen;
    return [];
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack' && families.length < 2)
    errors.push(
      invalidValue(
        'spec.ipFamilyPolicy',
        spec.ipFamilyPolicy,
        'this cluster is not configured for dual-stack services',
      ),
    );
  for (const [i, family] of (spec.ipFamilies ?? []).entries())
    if (!families.includes(family as IpFamily))
      errors.push(invalidValue(index('spec.ipFamilies', i), family, 'not configured on this cluster'));
  if (errors.length > 0) return errors;

  const chosen = spec.ipFamilies?.length ? spec.ipFamilies : [families[0] as IpFamily];
  spec.ipFamilies =
    !single && chosen.length === 1 && families.length === 2
      ? [...chosen, other(chosen[0] as string)]
      : chosen;
  return [];
}

/** Going back to one family takes the policy's word; leaving one out without it is an error. */
function completeUpdate({ spec }: ServiceDraft, old: Service): FieldError[] {
  const { clusterIPs: oldIps = [], ipFamilies: oldFamilies = [] } = old.spec ?? {};
  const { clusterIPs = [], ipFamilies = [] } = spec;
  if (spec.ipFamilyPolicy === 'SingleStack') {
    const unchanged = (old.spec?.clusterIP ?? '') === (spec.clusterIP ?? '') && sameList(oldIps, clusterIPs);
    if (unchanged && clusterIPs.length > 1) spec.clusterIPs = clusterIPs.slice(0, 1);
    if (sameList(oldFamilies, ipFamilies) && ipFamilies.length > 1) spec.ipFamilies = ipFamilies.slice(0, 1);
    return [];
  }
  const errors: FieldError[] = [];
  const reduced = (before: readonly string[], after: readonly string[]): boolean =>
    after.length > 0 && before.length === 2 && after.length === 1 && before[0] === after[0];
  const MUST_BE = "must be 'SingleStack' to release the secondary";
  if (reduced(oldIps, clusterIPs))
    errors.push(invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, `${MUST_BE} cluster IP`));
  if (reduced(oldFamilies, ipFamilies))
    errors.push(invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, `${MUST_BE} IP family`));
  return errors;
}

/** ValidateServiceClusterIPsRelatedFields */
export function validateClusterIpFields(service: Service, old: Service | undefined): FieldError[] {
  const { spec } = service;
  if (spec?.type === 'ExternalName') return [];
  const { clusterIP = '', clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec ?? {};
  const errors: FieldError[] = [];
  if (clusterIP === '') {
    if (clusterIPs.length > 0)
      errors.push(
        invalidValue('spec.clusterIPs', clusterIPs, 'must be empty when `clusterIP` is not specified'),
      );
  } else if (clusterIPs.length === 0) {
    errors.push(required('spec.clusterIPs', ''));
  } else if (clusterIPs[0] !== clusterIP) {
    errors.push(invalidValue('spec.clusterIPs', clusterIPs, 'first value must match `clusterIP`'));
  }
  for (const [i, family] of ipFamilies.entries()) {
    const at = index('spec.ipFamilies', i);
    if (!IP_FAMILIES.includes(family)) errors.push(notSupported(at, family, IP_FAMILIES));
    if (ipFamilies.indexOf(family) < i) errors.push(duplicate(at, family));
  }
  if (ipFamilyPolicy !== undefined && !IP_FAMILY_POLICIES.includes(ipFamilyPolicy))
    errors.push(notSupported('spec.ipFamilyPolicy', ipFamilyPolicy, IP_FAMILY_POLICIES));

  const before = errors.length;
  const storedBefore = old?.spec?.clusterIPs ?? [];
  for (const [i, address] of clusterIPs.entries()) {
    if (i === 0 && address === 'None') {
      if (clusterIPs.length > 1)
        errors.push(invalidValue('spec.clusterIPs', clusterIPs, "'None' must be the first and only value"));
      continue;
    }
    errors.push(...validateLegacyIp(address, index('spec.clusterIPs', i), storedBefore));
  }
  const invalidAddresses = errors.length > before;
  if (clusterIPs.length > 2)
    errors.push(invalidValue('spec.clusterIPs', clusterIPs, 'may only hold up to 2 values'));
  if (invalidAddresses) return errors;

  const versions = clusterIPs.map((address) => parseIp(address)?.version ?? 4);
  if (clusterIPs.length > 1 && !isDualStack(versions))
    errors.push(
      invalidValue('spec.clusterIPs', clusterIPs, 'may specify no more than one IP for each IP family'),
    );
  if (!isHeadless(service)) {
    for (const [i, address] of clusterIPs.entries()) {
      const family = ipFamilies[i];
      if (family !== undefined && IP_FAMILIES.includes(family) && family !== familyOf(address))
        errors.push(
          invalidValue(
            index('spec.clusterIPs', i),
            address,
            `expected an ${family} value as indicated by \`ipFamilies[${i}]\``,
          ),
        );
    }
  }
  return errors;
}
