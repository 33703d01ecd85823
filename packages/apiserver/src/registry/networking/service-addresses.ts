/** IPAddress and ServiceCIDR: what cluster IPs are in use, and where they come from. */
import { networkingv1 } from '@k8ts/api';
import {
  FIELD_IMMUTABLE,
  invalidValue,
  isDNS1123Subdomain,
  isPathSegmentName,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { ipAddressColumns, serviceCidrColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { each, immutable, messages } from '../field-rules.ts';
import { parseCidr, validateCidr, validateIp } from '../ip-addresses.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { dropStatus, keepField, statusStrategy } from '../strategy-parts.ts';

type IPAddress = networkingv1.IPAddress;
type ServiceCIDR = networkingv1.ServiceCIDR;

const sameParent = fieldComparison(networkingv1.ipAddresses, 'spec', 'parentRef');

function validateAddress({ spec }: IPAddress): FieldError[] {
  const parent = spec?.parentRef;
  const path = 'spec.parentRef';
  if (parent === undefined) return [required(path, '')];
  const { group, namespace } = parent;
  return [
    ...(group ? messages(isDNS1123Subdomain(group), group, `${path}.group`) : []),
    ...(['resource', 'name'] as const).flatMap((field) => {
      const value = parent[field];
      return value
        ? messages(isPathSegmentName(value), value, `${path}.${field}`)
        : [required(`${path}.${field}`, '')];
    }),
    ...(namespace ? messages(isPathSegmentName(namespace), namespace, `${path}.namespace`) : []),
  ];
}

export const ipAddressStrategy: Strategy<IPAddress> = {
  type: networkingv1.ipAddresses,
  validateName: (name) =>
    validateIp(name, '').map(({ body }) => body.slice(body.indexOf(': ', 'Invalid value: '.length) + 2)),
  validate: validateAddress,
  validateUpdate: (address, old) => [
    ...validateAddress(address),
    ...immutable(
      address.spec?.parentRef,
      sameParent(address.spec?.parentRef, old.spec?.parentRef),
      'spec.parentRef',
    ),
  ],
  columns: ipAddressColumns,
};

function validateRanges(cidrs: readonly string[]): FieldError[] {
  const path = 'spec.cidrs';
  if (cidrs.length === 0) return [required(path, 'at least one CIDR required')];
  if (cidrs.length > 2) return [invalidValue(path, { CIDRs: cidrs }, 'may only hold up to 2 values')];
  const errors = each(cidrs, path, validateCidr);
  const [first, second] = cidrs.map((cidr) => parseCidr(cidr)?.address.version);
  if (first !== undefined && first === second)
    errors.push(
      invalidValue(
        path,
        cidrs,
        'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
      ),
    );
  return errors;
}

function validateRangesUpdate(cidrs: readonly string[], old: readonly string[]): FieldError[] {
  const path = 'spec.cidrs';
  const changed = cidrs.flatMap((cidr, i) =>
    i < old.length && cidr !== old[i] ? [invalidValue(`${path}[${i}]`, cidr, FIELD_IMMUTABLE)] : [],
  );
  if (cidrs.length === old.length) return changed;
  return old.length === 1 && cidrs.length === 2
    ? [...changed, ...validateRanges(cidrs)]
    : [invalidValue(path, cidrs, FIELD_IMMUTABLE)];
}

export const serviceCidrStrategy: Strategy<ServiceCIDR> = {
  type: networkingv1.serviceCIDRs,
  prepareForCreate: dropStatus,
  prepareForUpdate: (cidr, old) => keepField(cidr, old, 'status'),
  validate: ({ spec }) => validateRanges(spec?.cidrs ?? []),
  validateUpdate: ({ spec }, old) => validateRangesUpdate(spec?.cidrs ?? [], old.spec?.cidrs ?? []),
  subresources: { status: statusStrategy({ keepMetadata: true }) },
  columns: serviceCidrColumns,
};
