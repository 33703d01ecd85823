import { networkingv1, type Draft } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  isValidPortName,
  isValidPortNum,
  notSupported,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { networkPolicyColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { each, messages } from '../field-rules.ts';
import { cidrContains, cidrWarnings, parseCidr, validateLegacyCidr } from '../ip-addresses.ts';
import { generationRules } from '../strategy-parts.ts';

type NetworkPolicy = networkingv1.NetworkPolicy;
type Peer = networkingv1.NetworkPolicyPeer;

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];
const TYPES = ['Ingress', 'Egress'];

interface Options {
  readonly allowInvalidValues: boolean;
  /** Ranges that were stored before they were checked. */
  readonly storedCidrs: readonly string[];
}

function setDefaults(policy: Draft<NetworkPolicy>): void {
  const spec = (policy.spec ??= {} as Draft<networkingv1.NetworkPolicySpec>);
  for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
    for (const port of rule.ports ?? []) port.protocol ??= 'TCP';
  if ((spec.policyTypes ?? []).length === 0)
    spec.policyTypes = (spec.egress ?? []).length === 0 ? ['Ingress'] : ['Ingress', 'Egress'];
}

function validatePort(
  { protocol, port, endPort }: networkingv1.NetworkPolicyPort,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (protocol !== undefined && !PROTOCOLS.includes(protocol))
    errors.push(notSupported(`${path}.protocol`, protocol, PROTOCOLS));
  const end = `${path}.endPort`;
  if (typeof port === 'number') {
    errors.push(...messages(isValidPortNum(port), port, `${path}.port`));
    if (endPort === undefined) return errors;
    if (endPort < port) errors.push(invalidValue(end, port, 'must be greater than or equal to `port`'));
    return [...errors, ...messages(isValidPortNum(endPort), endPort, end)];
  }
  if (endPort !== undefined)
    errors.push(
      invalidValue(
        end,
        endPort,
        port === undefined
          ? 'may not be specified when `port` is not specified'
          : 'may not be specified when `port` is non-numeric',
      ),
    );
  return port === undefined ? errors : [...errors, ...messages(isValidPortName(port), port, `${path}.port`)];
}

function validateIpBlock(
  { cidr = '', except }: Partial<networkingv1.IPBlock>,
  path: string,
  { storedCidrs }: Options,
): FieldError[] {
  if (cidr === '') return [required(`${path}.cidr`, '')];
  const errors = validateLegacyCidr(cidr, `${path}.cidr`, storedCidrs);
  const range = parseCidr(cidr);
  if (range === undefined) return errors;
  return [
    ...errors,
    ...each(except, `${path}.except`, (text, at) => {
      const wrong = validateLegacyCidr(text, at, storedCidrs);
      const inner = parseCidr(text);
      if (
        inner !== undefined &&
        (!cidrContains(range, inner.address) || range.prefixLength >= inner.prefixLength)
      )
        wrong.push(invalidValue(at, text, 'must be a strict subset of `cidr`'));
      return wrong;
    }),
  ];
}

function validatePeer(
  { podSelector, namespaceSelector, ipBlock }: Peer,
  path: string,
  options: Options,
): FieldError[] {
  const count = [podSelector, namespaceSelector, ipBlock].filter((part) => part !== undefined).length;
  const errors = [
    ...validateLabelSelector(podSelector, `${path}.podSelector`, options),
    ...validateLabelSelector(namespaceSelector, `${path}.namespaceSelector`, options),
    ...(ipBlock === undefined ? [] : validateIpBlock(ipBlock, `${path}.ipBlock`, options)),
  ];
  if (count === 0) errors.push(required(path, 'must specify a peer'));
  else if (count > 1 && ipBlock !== undefined)
    errors.push(forbiddenField(path, 'may not specify both ipBlock and another peer'));
  return errors;
}

function validate(policy: NetworkPolicy, options: Options): FieldError[] {
  const spec = policy.spec ?? {};
  const { policyTypes = [] } = spec;
  const errors = [
    ...validateLabelSelector(spec.podSelector, 'spec.podSelector', options),
    ...each(spec.ingress, 'spec.ingress', ({ ports, from }, at) => [
      ...each(ports, `${at}.ports`, validatePort),
      ...each(from, `${at}.from`, (peer, path) => validatePeer(peer, path, options)),
    ]),
    ...each(spec.egress, 'spec.egress', ({ ports, to }, at) => [
      ...each(ports, `${at}.ports`, validatePort),
      ...each(to, `${at}.to`, (peer, path) => validatePeer(peer, path, options)),
    ]),
  ];
  if (policyTypes.length > TYPES.length)
    errors.push(invalidValue('spec.policyTypes', policyTypes, 'may not specify more than two policyTypes'));
  else
    errors.push(
      ...each(policyTypes, 'spec.policyTypes', (type, at) =>
        TYPES.includes(type) ? [] : [notSupported(at, type, TYPES)],
      ),
    );
  return errors;
}

/** Every peer with its path. */
function* peers({ spec }: NetworkPolicy): Generator<readonly [Peer, string]> {
  for (const [i, { from = [] }] of (spec?.ingress ?? []).entries())
    for (const [j, peer] of from.entries()) yield [peer, `spec.ingress[${i}].from[${j}]`];
  for (const [i, { to = [] }] of (spec?.egress ?? []).entries())
    for (const [j, peer] of to.entries()) yield [peer, `spec.egress[${i}].to[${j}]`];
}

export const networkPolicyStrategy: Strategy<NetworkPolicy> = {
  type: networkingv1.networkPolicies,
  setDefaults,
  ...generationRules(networkingv1.networkPolicies, { status: false }),
  validate: (policy) => validate(policy, { allowInvalidValues: false, storedCidrs: [] }),
  validateUpdate: (policy, old) =>
    validate(policy, {
      allowInvalidValues: validateLabelSelector(old.spec?.podSelector, '').length > 0,
      storedCidrs: [...peers(old)].flatMap(([{ ipBlock }]) =>
        ipBlock === undefined ? [] : [ipBlock.cidr, ...(ipBlock.except ?? [])],
      ),
    }),
  warnings: (policy) =>
    [...peers(policy)].flatMap(([{ ipBlock }, path]) =>
      ipBlock === undefined
        ? []
        : [
            ...cidrWarnings(ipBlock.cidr, `${path}.ipBlock.cidr`),
            ...(ipBlock.except ?? []).flatMap((except, k) =>
              cidrWarnings(except, `${path}.ipBlock.except[${k}]`),
            ),
          ],
    ),
  columns: networkPolicyColumns,
};
