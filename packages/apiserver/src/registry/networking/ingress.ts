import { networkingv1 } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  isDNS1123Subdomain,
  isPathSegmentName,
  isValidPortName,
  isValidPortNum,
  isWildcardDNS1123Subdomain,
  nameIsDNSLabel,
  nameIsDNSSubdomain,
  notSupported,
  required,
  tooLong,
  exceedsBytes,
  type FieldError,
} from '@k8ts/apimachinery';
import { ingressClassColumns, ingressColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { domainPrefixedPath, each, immutable, messages } from '../field-rules.ts';
import { ipWarnings, parseIp, validateLegacyIp } from '../ip-addresses.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';

type Ingress = networkingv1.Ingress;
type IngressClass = networkingv1.IngressClass;

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';
const PATH_TYPES = ['Exact', 'ImplementationSpecific', 'Prefix'];
const INVALID_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F'];
const INVALID_SUFFIXES = ['/..', '/.'];
const MAX_CONTROLLER_LENGTH = 250;

interface Options {
  readonly allowInvalidSecretName: boolean;
  readonly allowInvalidWildcardRule: boolean;
}

function validateReference(
  {
    apiGroup,
    kind = '',
    name = '',
  }: { readonly apiGroup?: string; readonly kind?: string; readonly name?: string },
  path: string,
): FieldError[] {
  return [
    ...(apiGroup === undefined ? [] : messages(isDNS1123Subdomain(apiGroup), apiGroup, `${path}.apiGroup`)),
    ...(kind === ''
      ? [required(`${path}.kind`, '')]
      : messages(isPathSegmentName(kind), kind, `${path}.kind`)),
    ...(name === ''
      ? [required(`${path}.name`, '')]
      : messages(isPathSegmentName(name), name, `${path}.name`)),
  ];
}

function validateBackend(
  { resource, service }: Partial<networkingv1.IngressBackend> = {},
  path: string,
): FieldError[] {
  if (resource !== undefined && service !== undefined)
    return [invalidValue(path, '', 'cannot set both resource and service backends')];
  if (resource !== undefined) return validateReference(resource, `${path}.resource`);
  if (service === undefined) return [invalidValue(path, '', 'resource or service backend is required')];
  const at = `${path}.service`;
  const { name = '' } = service;
  const { name: portName, number = 0 } = service.port ?? {};
  const errors =
    name === '' ? [required(`${at}.name`, '')] : messages(nameIsDNSLabel(name, false), name, `${at}.name`);
  if (portName && number !== 0)
    errors.push(invalidValue(path, '', 'cannot set both port name & port number'));
  else if (portName) errors.push(...messages(isValidPortName(portName), portName, `${at}.port.name`));
  else if (number !== 0) errors.push(...messages(isValidPortNum(number), number, `${at}.port.number`));
  else errors.push(required(path, 'port name or number is required'));
  return errors;
}

function validatePath(
  { path = '', pathType, backend }: networkingv1.HTTPIngressPath,
  at: string,
): FieldError[] {
  if ((pathType as string | undefined) === undefined)
    return [required(`${at}.pathType`, 'pathType must be specified')];
  const errors: FieldError[] = [];
  const wrong = (detail: string): void => {
    errors.push(invalidValue(`${at}.path`, path, detail));
  };
  if (pathType === 'Exact' || pathType === 'Prefix') {
    if (!path.startsWith('/')) wrong('must be an absolute path');
    for (const part of INVALID_SEQUENCES) if (path.includes(part)) wrong(`must not contain '${part}'`);
    for (const end of INVALID_SUFFIXES) if (path.endsWith(end)) wrong(`cannot end with '${end}'`);
  } else if (pathType === 'ImplementationSpecific') {
    if (path !== '' && !path.startsWith('/')) wrong('must be an absolute path');
  } else errors.push(notSupported(`${at}.pathType`, pathType, PATH_TYPES));
  return [...errors, ...validateBackend(backend, `${at}.backend`)];
}

function validateRuleValue({ http }: networkingv1.IngressRule, path: string): FieldError[] {
  if (http === undefined) return [];
  const at = `${path}.http.paths`;
  const paths = (http.paths as typeof http.paths | undefined) ?? [];
  return [...(paths.length === 0 ? [required(at, '')] : []), ...each(paths, at, validatePath)];
}

function hostProblems(host: string): readonly string[] {
  return host.includes('*') ? isWildcardDNS1123Subdomain(host) : isDNS1123Subdomain(host);
}

function validateRule(
  rule: networkingv1.IngressRule,
  path: string,
  { allowInvalidWildcardRule }: Options,
): FieldError[] {
  const { host = '' } = rule;
  const errors: FieldError[] = [];
  if (host !== '') {
    if (parseIp(host) !== undefined)
      errors.push(invalidValue(`${path}.host`, host, 'must be a DNS name, not an IP address'));
    errors.push(...messages(hostProblems(host), host, `${path}.host`));
  }
  return host.includes('*') && allowInvalidWildcardRule
    ? errors
    : [...errors, ...validateRuleValue(rule, path)];
}

function secretNameProblems(name: string | undefined): readonly string[] {
  return name ? nameIsDNSSubdomain(name, false) : [];
}

function validateSpec(spec: networkingv1.IngressSpec, options: Options): FieldError[] {
  const { rules = [], defaultBackend, tls, ingressClassName } = spec;
  const errors: FieldError[] = [];
  if (rules.length === 0 && defaultBackend === undefined)
    errors.push(
      invalidValue('spec', spec.rules ?? null, 'either `defaultBackend` or `rules` must be specified'),
    );
  if (defaultBackend !== undefined) errors.push(...validateBackend(defaultBackend, 'spec.defaultBackend'));
  errors.push(...each(rules, 'spec.rules', (rule, at) => validateRule(rule, at, options)));
  errors.push(
    ...each(tls, 'spec.tls', ({ hosts, secretName }, at) => [
      ...each(hosts, `${at}.hosts`, (host, path) => messages(hostProblems(host), host, path)),
      ...(options.allowInvalidSecretName
        ? []
        : messages(secretNameProblems(secretName), secretName, `${at}.secretName`)),
    ]),
  );
  if (ingressClassName !== undefined)
    errors.push(
      ...messages(nameIsDNSSubdomain(ingressClassName, false), ingressClassName, 'spec.ingressClassName'),
    );
  return errors;
}

function validateStatus({ status }: Ingress, old: Ingress): FieldError[] {
  const stored = (old.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip || []);
  return each(status?.loadBalancer?.ingress, 'status.loadBalancer.ingress', ({ ip, hostname }, at) => [
    ...(ip ? validateLegacyIp(ip, `${at}.ip`, stored) : []),
    ...(hostname ? messages(isDNS1123Subdomain(hostname), hostname, `${at}.hostname`) : []),
    ...(hostname && parseIp(hostname) !== undefined
      ? [invalidValue(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address')]
      : []),
  ]);
}

export const ingressStrategy: Strategy<Ingress> = {
  type: networkingv1.ingresses,
  ...generationRules(networkingv1.ingresses),
  validate({ metadata, spec = {} }) {
    const annotation = metadata.annotations?.[CLASS_ANNOTATION];
    const { ingressClassName } = spec;
    return [
      ...validateSpec(spec, { allowInvalidSecretName: false, allowInvalidWildcardRule: false }),
      ...(annotation !== undefined && ingressClassName !== undefined && annotation !== ingressClassName
        ? [
            invalidValue(
              `annotations.${CLASS_ANNOTATION}`,
              annotation,
              'must match `ingressClassName` when both are specified',
            ),
          ]
        : []),
    ];
  },
  validateUpdate: ({ spec = {} }, { spec: old = {} }) =>
    validateSpec(spec, {
      allowInvalidSecretName: (old.tls ?? []).some(
        ({ secretName }) => secretNameProblems(secretName).length > 0,
      ),
      allowInvalidWildcardRule: (old.rules ?? []).some(
        (rule) => rule.host?.includes('*') === true && validateRuleValue(rule, '').length > 0,
      ),
    }),
  warnings: ({ metadata, spec }, old) =>
    old === undefined &&
    metadata.annotations?.[CLASS_ANNOTATION] !== undefined &&
    spec?.ingressClassName === undefined
      ? [`annotation "${CLASS_ANNOTATION}" is deprecated, please use 'spec.ingressClassName' instead`]
      : [],
  subresources: {
    status: {
      ...statusStrategy<Ingress>({ validateUpdate: validateStatus }),
      warnings: ({ status }) =>
        (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }, i) =>
          ip ? ipWarnings(ip, `status.loadBalancer.ingress[${i}]`) : [],
        ),
    },
  },
  columns: ingressColumns,
};

const SCOPES = ['Cluster', 'Namespace'];

function validateParameters(
  parameters: networkingv1.IngressClassParametersReference,
  path: string,
): FieldError[] {
  const { scope, namespace } = parameters;
  const errors = validateReference(parameters, path);
  if (scope === undefined) return [...errors, required(`${path}.scope`, '')];
  if (!SCOPES.includes(scope)) return [...errors, notSupported(`${path}.scope`, scope, SCOPES)];
  const at = `${path}.namespace`;
  if (scope === 'Namespace')
    errors.push(
      ...(namespace === undefined
        ? [required(at, "`parameters.scope` is set to 'Namespace'")]
        : messages(nameIsDNSLabel(namespace, false), namespace, at)),
    );
  else if (namespace !== undefined) errors.push(forbiddenField(at, "`parameters.scope` is set to 'Cluster'"));
  return errors;
}

function validateClass({ spec = {} }: IngressClass): FieldError[] {
  const { controller = '', parameters } = spec;
  const path = 'spec.controller';
  return [
    ...(exceedsBytes(controller, MAX_CONTROLLER_LENGTH) ? [tooLong(path, MAX_CONTROLLER_LENGTH)] : []),
    ...domainPrefixedPath(controller, path),
    ...(parameters === undefined ? [] : validateParameters(parameters, 'spec.parameters')),
  ];
}

export const ingressClassStrategy: Strategy<IngressClass> = {
  type: networkingv1.ingressClasses,
  setDefaults({ spec }) {
    if (spec?.parameters !== undefined) spec.parameters.scope ??= 'Cluster';
  },
  ...generationRules(networkingv1.ingressClasses, { status: false }),
  validate: validateClass,
  validateUpdate: (ingressClass, old) => [
    ...immutable(
      ingressClass.spec?.controller ?? '',
      (ingressClass.spec?.controller ?? '') === (old.spec?.controller ?? ''),
      'spec.controller',
    ),
    ...validateClass(ingressClass),
  ],
  columns: ingressClassColumns,
};
