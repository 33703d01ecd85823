import { discoveryv1, type Draft } from '@k8ts/api';
import {
  duplicate,
  invalidValue,
  isDNS1123Label,
  isDNS1123Subdomain,
  isValidLabelValue,
  nameIsDNSSubdomain,
  required,
  tooMany,
  validateLabels,
  type FieldError,
} from '@k8ts/apimachinery';
import { endpointSliceColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { validateEndpointIp } from '../core/endpoints.ts';
import {
  dnsLabel,
  each,
  immutable,
  messages,
  PROTOCOLS,
  qualifiedName,
  requiredOneOf,
} from '../field-rules.ts';
import { ipWarnings, parseIp, validateIp, validateLegacyIp } from '../ip-addresses.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { firstGeneration, nextGeneration } from '../strategy-parts.ts';

type EndpointSlice = discoveryv1.EndpointSlice;

const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const CONTROLLERS = ['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io'];
const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;
const MAX_PORTS = 20000;
const MAX_TOPOLOGY_LABELS = 16;
const MAX_HINTS = 8;

const COMPARED = (['addressType', 'endpoints', 'ports'] as const).map(
  (field) => [field, fieldComparison(discoveryv1.endpointSlices, field)] as const,
);
const sameEndpoints = fieldComparison(discoveryv1.endpointSlices, 'endpoints');
const sameLabels = fieldComparison(discoveryv1.endpointSlices, 'metadata', 'labels');

function validateFqdn(value: string, path: string): FieldError[] {
  if (value === '') return [required(path, '')];
  const name = value.endsWith('.') ? value.slice(0, -1) : value;
  const wrong = isDNS1123Subdomain(name);
  if (wrong.length > 0) return [invalidValue(path, name, wrong.join(','))];
  const labels = name.split('.');
  if (labels.length < 2)
    return [invalidValue(path, name, 'should be a domain with at least two segments separated by dots')];
  return labels.flatMap((label) => messages(isDNS1123Label(label), label, path));
}

function validateAddress(address: string, type: string, list: string, path: string): FieldError[] {
  if (type === 'FQDN') return validateFqdn(address, path);
  if (type !== 'IPv4' && type !== 'IPv6') return [];
  const errors = type === 'IPv4' ? validateLegacyIp(address, path) : validateIp(address, path);
  if (errors.length > 0) return errors;
  if (`IPv${parseIp(address)?.version}` !== type)
    errors.push(invalidValue(list, address, `must be an ${type} address`));
  return [...errors, ...validateEndpointIp(address, path)];
}

function validateHints(hints: discoveryv1.EndpointHints, path: string): FieldError[] {
  const { forZones = [], forNodes = [] } = hints;
  if (forZones.length > MAX_HINTS) return [tooMany(`${path}.forZones`, forZones.length, MAX_HINTS)];
  const zones = namedOnce(forZones, `${path}.forZones`, isValidLabelValue);
  if (forNodes.length > MAX_HINTS) return [...zones, tooMany(`${path}.forNodes`, forNodes.length, MAX_HINTS)];
  return [...zones, ...namedOnce(forNodes, `${path}.forNodes`, (name) => nameIsDNSSubdomain(name, false))];
}

function namedOnce(
  list: readonly { readonly name: string }[],
  path: string,
  rule: (name: string) => readonly string[],
): FieldError[] {
  const names = new Set<string>();
  return each(list, path, ({ name }, at) => {
    const errors = names.has(name) ? [duplicate(`${at}.name`, name)] : [];
    names.add(name);
    return [...errors, ...messages(rule(name), name, `${at}.name`)];
  });
}

function validateEndpoints({ endpoints = [], addressType }: EndpointSlice): FieldError[] {
  if (endpoints.length > MAX_ENDPOINTS) return [tooMany('endpoints', endpoints.length, MAX_ENDPOINTS)];
  return each(endpoints, 'endpoints', (endpoint, at) => {
    const errors: FieldError[] = [];
    const { addresses = [], deprecatedTopology = {} } = endpoint;
    const list = `${at}.addresses`;
    if (addresses.length === 0) errors.push(required(list, 'must contain at least 1 address'));
    else if (addresses.length > MAX_ADDRESSES) errors.push(tooMany(list, addresses.length, MAX_ADDRESSES));
    errors.push(
      ...each(addresses, list, (address, path) => validateAddress(address, addressType, list, path)),
    );
    if (endpoint.nodeName !== undefined)
      errors.push(
        ...messages(nameIsDNSSubdomain(endpoint.nodeName, false), endpoint.nodeName, `${at}.nodeName`),
      );
    const topology = Object.keys(deprecatedTopology).length;
    if (topology > MAX_TOPOLOGY_LABELS)
      errors.push(tooMany(`${at}.deprecatedTopology`, topology, MAX_TOPOLOGY_LABELS));
    errors.push(...validateLabels(deprecatedTopology, `${at}.deprecatedTopology`));
    if (endpoint.hostname !== undefined) errors.push(...dnsLabel(endpoint.hostname, `${at}.hostname`));
    if (endpoint.hints !== undefined) errors.push(...validateHints(endpoint.hints, `${at}.hints`));
    return errors;
  });
}

function validatePorts({ ports = [] }: EndpointSlice): FieldError[] {
  if (ports.length > MAX_PORTS) return [tooMany('ports', ports.length, MAX_PORTS)];
  const names = new Set<string>();
  return each(ports, 'ports', (port, at) => {
    const { name = '' } = port;
    const errors = name === '' ? [] : dnsLabel(name, `${at}.name`);
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    errors.push(...requiredOneOf(port.protocol, PROTOCOLS, `${at}.protocol`));
    if (port.appProtocol !== undefined) errors.push(...qualifiedName(port.appProtocol, `${at}.appProtocol`));
    return errors;
  });
}

function validate(slice: EndpointSlice, old?: EndpointSlice): FieldError[] {
  let endpoints = validateEndpoints(slice);
  if (old !== undefined && endpoints.length > 0 && sameEndpoints(slice.endpoints, old.endpoints))
    endpoints = [];
  return [
    ...requiredOneOf(slice.addressType, ['FQDN', 'IPv4', 'IPv6'], 'addressType'),
    ...validatePorts(slice),
    ...endpoints,
  ];
}

/** Topology is what v1beta1 said; v1 says node and zone. */
function dropTopology(slice: Draft<EndpointSlice>, old?: EndpointSlice): void {
  if (old !== undefined && sameEndpoints(slice.endpoints, old.endpoints)) return;
  for (const endpoint of slice.endpoints ?? []) delete endpoint.deprecatedTopology;
}

export const endpointSliceStrategy: Strategy<EndpointSlice> = {
  type: discoveryv1.endpointSlices,
  setDefaults(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  prepareForCreate(slice) {
    firstGeneration(slice);
    dropTopology(slice);
  },
  prepareForUpdate(slice, old) {
    if (
      !COMPARED.every(([field, equal]) => equal(slice[field], old[field])) ||
      !sameLabels(slice.metadata.labels, old.metadata.labels)
    )
      nextGeneration(slice, old);
    dropTopology(slice, old);
  },
  validate: (slice) => validate(slice),
  validateUpdate: (slice, old) => [
    ...validate(slice, old),
    ...immutable(slice.addressType, slice.addressType === old.addressType, 'addressType'),
  ],
  warnings(slice, old) {
    const warnings =
      old === undefined && slice.addressType === 'FQDN'
        ? ['spec.addressType: FQDN endpoints are deprecated']
        : [];
    if (CONTROLLERS.includes(slice.metadata.labels?.[MANAGED_BY] ?? '')) return warnings;
    for (const [i, endpoint] of (slice.endpoints ?? []).entries())
      for (const [j, address] of (endpoint.addresses ?? []).entries())
        warnings.push(...ipWarnings(address, `endpoints[${i}].addresses[${j}]`));
    return warnings;
  },
  columns: endpointSliceColumns,
};
