/** ValidateServiceCreate, ValidateServiceUpdate and ValidateLoadBalancerStatus. */
import type { corev1 } from '@k8ts/api';
import {
  duplicate,
  forbiddenField,
  index,
  invalidValue,
  key,
  notSupported,
  required,
  validateLabels,
  type FieldError,
} from '@k8ts/apimachinery';
import {
  dnsLabel,
  dnsSubdomain,
  each,
  portNumber,
  PROTOCOLS,
  qualifiedName,
  requiredOneOf,
} from '../../field-rules.ts';
import { parseIp, validateLegacyCidr, validateLegacyIp } from '../../ip-addresses.ts';
import { validateEndpointIp } from '../endpoints.ts';
import { portNumberOrName } from '../pod-template/ports.ts';
import { validateClusterIpFields } from './cluster-ip-fields.ts';
import { isExternallyAccessible } from './defaults.ts';
import { isHeadless, needsHealthCheckPort } from './fields.ts';
import { TOPOLOGY_HINTS, TOPOLOGY_MODE } from './warnings.ts';

type Service = corev1.Service;
type Spec = corev1.ServiceSpec;

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges';
const MAX_AFFINITY_SECONDS = 86_400;
const LOAD_BALANCER_ONLY = "may only be used when `type` is 'LoadBalancer'";
const NOT_CHANGED = 'may not change once set';

export function validateService(service: Service, old?: Service): FieldError[] {
  const spec = service.spec ?? {};
  return [
    ...validateTopology(service),
    ...validateType(service, spec),
    ...validatePorts(service, spec),
    ...(spec.selector === undefined ? [] : validateLabels(spec.selector, 'spec.selector')),
    ...validateAffinity(spec),
    ...validateClusterIpFields(service, old),
    ...validateExternalIps(spec, old?.spec?.externalIPs ?? []),
    ...requiredOneOf(spec.type, TYPES, 'spec.type'),
    ...validateNumbersOnce(spec),
    ...validateSourceRanges(service, old),
    ...validateLoadBalancerFields(spec),
    ...validateTraffic(service, spec),
  ];
}

function validateTopology({ metadata }: Service): FieldError[] {
  const mode = metadata.annotations?.[TOPOLOGY_MODE];
  const hints = metadata.annotations?.[TOPOLOGY_HINTS];
  return mode !== undefined && hints !== undefined && mode !== hints
    ? [
        invalidValue(
          key('metadata.annotations', TOPOLOGY_MODE),
          mode,
          `must match annotations[${TOPOLOGY_HINTS}] when both are specified`,
        ),
      ]
    : [];
}

function validateType(service: Service, spec: Spec): FieldError[] {
  const { type, ports = [], clusterIPs = [] } = spec;
  const errors: FieldError[] = [];
  const headless = isHeadless(service);
  if (ports.length === 0 && !headless && type !== 'ExternalName') errors.push(required('spec.ports', ''));
  if ((type === 'LoadBalancer' || type === 'NodePort') && headless)
    errors.push(
      invalidValue('spec.clusterIPs[0]', clusterIPs[0], `may not be set to 'None' for ${type} services`),
    );
  if (type !== 'ExternalName') return errors;
  const NOT_FOR = 'may not be set for ExternalName services';
  if (clusterIPs.length > 0) errors.push(forbiddenField('spec.clusterIPs', NOT_FOR));
  if ((spec.ipFamilies ?? []).length > 0) errors.push(forbiddenField('spec.ipFamilies', NOT_FOR));
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbiddenField('spec.ipFamilyPolicy', NOT_FOR));
  const name = (spec.externalName ?? '').replace(/\.$/, '');
  errors.push(
    ...(name === '' ? [required('spec.externalName', '')] : dnsSubdomain(name, 'spec.externalName')),
  );
  return errors;
}

function validatePorts(_service: Service, { ports = [] }: Spec): FieldError[] {
  const names = new Set<string>();
  return each(ports, 'spec.ports', (port, at) => {
    const errors: FieldError[] = [];
    const { name = '' } = port;
    if (name !== '') {
      errors.push(...dnsLabel(name, `${at}.name`));
      if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
      names.add(name);
    } else if (ports.length > 1) {
      errors.push(required(`${at}.name`, ''));
    }
    errors.push(...portNumber(port.port, `${at}.port`));
    errors.push(...requiredOneOf(port.protocol, PROTOCOLS, `${at}.protocol`));
    errors.push(...portNumberOrName(port.targetPort ?? 0, `${at}.targetPort`));
    if (port.appProtocol !== undefined) errors.push(...qualifiedName(port.appProtocol, `${at}.appProtocol`));
    return errors;
  });
}

function validateAffinity({ sessionAffinity, sessionAffinityConfig: config }: Spec): FieldError[] {
  const errors = requiredOneOf(sessionAffinity, ['ClientIP', 'None'], 'spec.sessionAffinity');
  const path = 'spec.sessionAffinityConfig';
  if (sessionAffinity === 'ClientIP') {
    const WHEN = 'when session affinity type is ClientIP';
    const seconds = config?.clientIP?.timeoutSeconds;
    if (config === undefined) errors.push(required(path, WHEN));
    else if (config.clientIP === undefined) errors.push(required(`${path}.clientIP`, WHEN));
    else if (seconds === undefined) errors.push(required(`${path}.clientIP.timeoutSeconds`, WHEN));
    else if (seconds <= 0 || seconds > MAX_AFFINITY_SECONDS)
      errors.push(
        invalidValue(
          `${path}.clientIP.timeoutSeconds`,
          seconds,
          `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`,
        ),
      );
  } else if (sessionAffinity === 'None' && config !== undefined) {
    errors.push(forbiddenField(path, 'must not be set when session affinity is None'));
  }
  return errors;
}

function validateExternalIps({ externalIPs }: Spec, storedBefore: readonly string[]): FieldError[] {
  return each(externalIPs, 'spec.externalIPs', (address, at) => {
    const errors = validateLegacyIp(address, at, storedBefore);
    return errors.length > 0 ? errors : validateEndpointIp(address, at);
  });
}

/** Node ports and ports, each once per protocol. */
function validateNumbersOnce({ type, ports = [] }: Spec): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, { nodePort = 0 }] of ports.entries())
    if (type === 'ClusterIP' && nodePort !== 0)
      errors.push(
        forbiddenField(`${index('spec.ports', i)}.nodePort`, "may not be used when `type` is 'ClusterIP'"),
      );
  const nodePorts = new Set<string>();
  for (const [i, { nodePort = 0, protocol }] of ports.entries()) {
    if (nodePort === 0) continue;
    if (nodePorts.has(`${protocol}/${nodePort}`))
      errors.push(duplicate(`${index('spec.ports', i)}.nodePort`, nodePort));
    nodePorts.add(`${protocol}/${nodePort}`);
  }
  const numbers = new Set<string>();
  for (const [i, { port, protocol }] of ports.entries()) {
    if (numbers.has(`${protocol}/${port}`))
      errors.push(
        duplicate(index('spec.ports', i), {
          Name: '',
          Protocol: protocol,
          AppProtocol: null,
          Port: port,
          TargetPort: 0,
          NodePort: 0,
        }),
      );
    numbers.add(`${protocol}/${port}`);
  }
  return errors;
}

function validateSourceRanges({ metadata, spec }: Service, old: Service | undefined): FieldError[] {
  const ranges = spec?.loadBalancerSourceRanges ?? [];
  const isLoadBalancer = spec?.type === 'LoadBalancer';
  if (ranges.length > 0) {
    const path = 'spec.LoadBalancerSourceRanges';
    const before = (old?.spec?.loadBalancerSourceRanges ?? []).map((range) => range.trim());
    return [
      ...(isLoadBalancer ? [] : [forbiddenField(path, LOAD_BALANCER_ONLY)]),
      ...each(ranges, path, (range, at) => validateLegacyCidr(range.trim(), at, before)),
    ];
  }
  const annotation = metadata.annotations?.[SOURCE_RANGES];
  if (annotation === undefined) return [];
  const path = key('metadata.annotations', SOURCE_RANGES);
  const errors = isLoadBalancer ? [] : [forbiddenField(path, LOAD_BALANCER_ONLY)];
  if (old?.metadata.annotations?.[SOURCE_RANGES] === annotation || annotation.trim() === '') return errors;
  return [...errors, ...annotation.split(',').flatMap((range) => validateLegacyCidr(range.trim(), path))];
}

function validateLoadBalancerFields(spec: Spec): FieldError[] {
  const errors: FieldError[] = [];
  const isLoadBalancer = spec.type === 'LoadBalancer';
  if (spec.allocateLoadBalancerNodePorts !== undefined && !isLoadBalancer)
    errors.push(forbiddenField('spec.allocateLoadBalancerNodePorts', LOAD_BALANCER_ONLY));
  if (spec.allocateLoadBalancerNodePorts === undefined && isLoadBalancer)
    errors.push(required('allocateLoadBalancerNodePorts', ''));
  if (spec.loadBalancerClass !== undefined)
    errors.push(
      ...(isLoadBalancer
        ? qualifiedName(spec.loadBalancerClass, 'spec.loadBalancerClass')
        : [forbiddenField('spec.loadBalancerClass', LOAD_BALANCER_ONLY)]),
    );
  return errors;
}

function validateTraffic(service: Service, spec: Spec): FieldError[] {
  const errors: FieldError[] = [];
  const policies = ['Cluster', 'Local'];
  if (isExternallyAccessible(spec))
    errors.push(...requiredOneOf(spec.externalTrafficPolicy, policies, 'spec.externalTrafficPolicy'));
  else if (spec.externalTrafficPolicy)
    errors.push(
      invalidValue(
        'spec.externalTrafficPolicy',
        spec.externalTrafficPolicy,
        'may only be set for externally-accessible services',
      ),
    );
  const { healthCheckNodePort: port = 0 } = spec;
  if (needsHealthCheckPort(service))
    errors.push(
      ...(port === 0
        ? [required('spec.healthCheckNodePort', '')]
        : portNumber(port, 'spec.healthCheckNodePort')),
    );
  else if (port !== 0)
    errors.push(
      invalidValue(
        'spec.healthCheckNodePort',
        port,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ),
    );
  if (spec.internalTrafficPolicy === undefined) {
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer' || spec.type === 'ClusterIP')
      errors.push(required('spec.internalTrafficPolicy', ''));
  } else if (!policies.includes(spec.internalTrafficPolicy)) {
    errors.push(notSupported('spec.internalTrafficPolicy', spec.internalTrafficPolicy, policies));
  }
  const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];
  if (spec.trafficDistribution !== undefined && !distributions.includes(spec.trafficDistribution))
    errors.push(notSupported('spec.trafficDistribution', spec.trafficDistribution, distributions));
  return errors;
}

export function validateServiceUpdate(service: Service, old: Service): FieldError[] {
  const errors = [...validateIpChange(service, old), ...validateFamilyChange(service, old)];
  if (old.spec?.type === 'LoadBalancer' && service.spec?.type === 'LoadBalancer') {
    const { loadBalancerClass } = service.spec;
    if (loadBalancerClass !== old.spec.loadBalancerClass)
      errors.push(invalidValue('spec.loadBalancerClass', loadBalancerClass ?? null, NOT_CHANGED));
  }
  if (
    needsHealthCheckPort(old) &&
    needsHealthCheckPort(service) &&
    (old.spec?.healthCheckNodePort ?? 0) !== (service.spec?.healthCheckNodePort ?? 0)
  )
    errors.push(forbiddenField('spec.healthCheckNodePort', 'field is immutable'));
  return [...errors, ...validateService(service, old)];
}

const isExternalName = (service: Service): boolean => service.spec?.type === 'ExternalName';

/** A second address may come and go; the first stays, unless the service becomes or was an ExternalName. */
function validateIpChange(service: Service, old: Service): FieldError[] {
  if (isExternalName(service) || isExternalName(old) || (isHeadless(service) && isHeadless(old))) return [];
  const before = old.spec?.clusterIPs ?? [];
  const after = service.spec?.clusterIPs ?? [];
  const changed = (i: number): FieldError => invalidValue(index('spec.clusterIPs', i), after, NOT_CHANGED);
  if (before.length === after.length)
    return before.flatMap((address, i) => (address === after[i] ? [] : [changed(i)]));
  const errors: FieldError[] = [];
  if (before.length > after.length && after.length === 0)
    errors.push(invalidValue('spec.clusterIPs[0]', after, 'primary clusterIP can not be unset'));
  if (before.length > 0 && after.length > 0 && before[0] !== after[0]) errors.push(changed(0));
  if (before.length > after.length && after.length === 1 && service.spec?.ipFamilyPolicy !== 'SingleStack')
    errors.push(
      invalidValue(
        'spec.ipFamilyPolicy',
        service.spec?.ipFamilyPolicy ?? null,
        "must be set to 'SingleStack' when releasing the secondary clusterIP",
      ),
    );
  return errors;
}

function validateFamilyChange(service: Service, old: Service): FieldError[] {
  if (isExternalName(service) || isExternalName(old) || isHeadless(service) || isHeadless(old)) return [];
  const before = old.spec?.ipFamilies ?? [];
  const after = service.spec?.ipFamilies ?? [];
  const path = 'spec.ipFamilies[0]';
  if (before.length === after.length)
    return before.flatMap((family, i) =>
      family === after[i] ? [] : [invalidValue(path, after, NOT_CHANGED)],
    );
  const errors: FieldError[] = [];
  const { clusterIPs = [], ipFamilyPolicy } = service.spec ?? {};
  if (before.length > after.length && clusterIPs.length === 0)
    errors.push(invalidValue(path, after, 'primary ipFamily can not be unset'));
  if (before.length > 0 && after.length > 0 && before[0] !== after[0])
    errors.push(invalidValue(path, clusterIPs, NOT_CHANGED));
  if (before.length > after.length && after.length === 1 && ipFamilyPolicy !== 'SingleStack')
    errors.push(
      invalidValue(
        'spec.ipFamilyPolicy',
        ipFamilyPolicy ?? null,
        "must be set to 'SingleStack' when releasing the secondary ipFamily",
      ),
    );
  return errors;
}

export function validateLoadBalancerStatus(
  status: corev1.LoadBalancerStatus | undefined,
  old: corev1.LoadBalancerStatus | undefined,
  spec: Spec | undefined,
): FieldError[] {
  const path = 'status.loadBalancer.ingress';
  const ingress = status?.ingress ?? [];
  if (spec?.type !== 'LoadBalancer' && ingress.length > 0)
    return [forbiddenField(path, "may only be used when `spec.type` is 'LoadBalancer'")];
  const before = (old?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
  return each(ingress, path, ({ ip = '', ipMode, hostname = '' }, at) => {
    const errors = ip === '' ? [] : validateLegacyIp(ip, `${at}.ip`, before);
    if (ipMode === undefined) {
      if (ip !== '') errors.push(required(`${at}.ipMode`, 'must be specified when `ip` is set'));
    } else if (ip === '') {
      errors.push(forbiddenField(`${at}.ipMode`, 'may not be specified when `ip` is not set'));
    } else if (ipMode !== 'VIP' && ipMode !== 'Proxy') {
      errors.push(notSupported(`${at}.ipMode`, ipMode, ['Proxy', 'VIP']));
    }
    if (hostname !== '') {
      errors.push(...dnsSubdomain(hostname, `${at}.hostname`));
      if (parseIp(hostname) !== undefined)
        errors.push(invalidValue(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'));
    }
    return errors;
  });
}
