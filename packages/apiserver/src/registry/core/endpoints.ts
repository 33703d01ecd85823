import { corev1 } from '@k8ts/api';
import { invalidValue, nameIsDNSSubdomain, required, type FieldError } from '@k8ts/apimachinery';
import { endpointsColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import {
  dnsLabel,
  each,
  messages,
  portNumber,
  PROTOCOLS,
  qualifiedName,
  requiredOneOf,
} from '../field-rules.ts';
import { ipWarnings, parseIp, validateLegacyIp } from '../ip-addresses.ts';
import { fieldComparison } from '../semantic-equal.ts';

type Endpoints = corev1.Endpoints;

const MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
const CONTROLLER = 'endpoint-controller';
const sameSubsets = fieldComparison(corev1.endpoints, 'subsets');

/** Addresses that traffic cannot be sent to from another machine (also used for EndpointSlices and external IPs). */
export function validateEndpointIp(value: string, path: string): FieldError[] {
  const address = parseIp(value);
  if (address === undefined) return [invalidValue(path, value, 'must be a valid IP address')];
  const errors: FieldError[] = [];
  const is4 = address.version === 4;
  const top = (bits: number): bigint => address.value >> BigInt((is4 ? 32 : 128) - bits);
  if (address.value === 0n) errors.push(invalidValue(path, value, `may not be unspecified (${value})`));
  if (is4 ? top(8) === 127n : address.value === 1n)
    errors.push(invalidValue(path, value, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'));
  if (is4 ? top(16) === 0xa9fen : top(10) === 0x3fan)
    errors.push(invalidValue(path, value, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'));
  if (is4 ? top(24) === 0xe00000n : top(16) === 0xff02n)
    errors.push(
      invalidValue(path, value, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'),
    );
  return errors;
}

function validateAddress(address: corev1.EndpointAddress, path: string): FieldError[] {
  const errors = validateLegacyIp(address.ip ?? '', `${path}.ip`);
  if (address.hostname) errors.push(...dnsLabel(address.hostname, `${path}.hostname`));
  if (address.nodeName !== undefined)
    errors.push(
      ...messages(nameIsDNSSubdomain(address.nodeName, false), address.nodeName, `${path}.nodeName`),
    );
  return [...errors, ...validateEndpointIp(address.ip ?? '', `${path}.ip`)];
}

function validatePort(port: corev1.EndpointPort, nameNeeded: boolean, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (port.name) errors.push(...dnsLabel(port.name, `${path}.name`));
  else if (nameNeeded) errors.push(required(`${path}.name`, ''));
  errors.push(...portNumber(port.port, `${path}.port`));
  errors.push(...requiredOneOf(port.protocol, PROTOCOLS, `${path}.protocol`));
  if (port.appProtocol !== undefined) errors.push(...qualifiedName(port.appProtocol, `${path}.appProtocol`));
  return errors;
}

function validate({ subsets }: Endpoints): FieldError[] {
  return each(subsets, 'subsets', (subset, at) => {
    const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
    return [
      ...(addresses.length === 0 && notReadyAddresses.length === 0
        ? [required(at, 'must specify `addresses` or `notReadyAddresses`')]
        : []),
      ...each(addresses, `${at}.addresses`, validateAddress),
      ...each(notReadyAddresses, `${at}.notReadyAddresses`, validateAddress),
      ...each(ports, `${at}.ports`, (port, path) => validatePort(port, ports.length > 1, path)),
    ];
  });
}

export const endpointsStrategy: Strategy<Endpoints> = {
  type: corev1.endpoints,
  allowCreateOnUpdate: true,
  setDefaults(endpoints) {
    for (const subset of endpoints.subsets ?? [])
      for (const port of subset.ports ?? []) if (!port.protocol) port.protocol = 'TCP';
  },
  validate,
  validateUpdate(endpoints, old) {
    const errors = validate(endpoints);
    // What an older version stored stays writable as long as nobody touches it.
    return errors.length > 0 && sameSubsets(endpoints.subsets, old.subsets) ? [] : errors;
  },
  warnings({ metadata, subsets }) {
    if (metadata.labels?.[MANAGED_BY] === CONTROLLER) return [];
    return (subsets ?? []).flatMap((subset, i) =>
      (['addresses', 'notReadyAddresses'] as const).flatMap((list) =>
        (subset[list] ?? []).flatMap(({ ip }, j) => ipWarnings(ip, `subsets[${i}].${list}[${j}].ip`)),
      ),
    );
  },
  columns: endpointsColumns,
};
