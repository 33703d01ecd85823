/** Environment variables and what they can be taken from. */
import type { corev1 } from '@k8ts/api';
import {
  canonicalQuantity,
  invalidValue,
  isConfigMapKey,
  isRelaxedEnvVarName,
  nameIsDNSSubdomain,
  notSupported,
  quantityOf,
  quantitySign,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { dnsLabel, each, messages, qualifiedName } from '../../field-rules.ts';
import { pathWithoutBacksteps } from './paths.ts';

const ENV_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];

/** What a fieldRef may name at all; where it stands decides further. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  ...ENV_FIELDS,
  'metadata.annotations',
  'metadata.labels',
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
]);

const RESOURCES = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
];
const SIZES = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

export function validateEnv(vars: readonly corev1.EnvVar[] | undefined, path: string): FieldError[] {
  return each(vars, path, (variable, at) => [
    ...(variable.name
      ? messages(isRelaxedEnvVarName(variable.name), variable.name, `${at}.name`)
      : [required(`${at}.name`, '')]),
    ...(variable.valueFrom === undefined
      ? []
      : validateSource(variable, variable.valueFrom, `${at}.valueFrom`)),
  ]);
}

function validateSource(variable: corev1.EnvVar, source: corev1.EnvVarSource, path: string): FieldError[] {
  const errors: FieldError[] = [];
  let sources = 0;
  const add = (found: readonly FieldError[]): void => {
    sources++;
    errors.push(...found);
  };
  if (source.fieldRef !== undefined) add(validateFieldRef(source.fieldRef, ENV_FIELDS, `${path}.fieldRef`));
  if (source.resourceFieldRef !== undefined)
    add(validateResourceFieldRef(source.resourceFieldRef, false, `${path}.resourceFieldRef`));
  if (source.configMapKeyRef !== undefined)
    add(validateKeyRef(source.configMapKeyRef, `${path}.configMapKeyRef`));
  if (source.secretKeyRef !== undefined) add(validateKeyRef(source.secretKeyRef, `${path}.secretKeyRef`));
  if (source.fileKeyRef !== undefined) add(validateFileKeyRef(source.fileKeyRef, `${path}.fileKeyRef`));
  if (sources === 0)
    errors.push(
      invalidValue(
        path,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
      ),
    );
  else if (variable.value)
    errors.push(invalidValue(path, '', 'may not be specified when `value` is not empty'));
  else if (sources > 1)
    errors.push(invalidValue(path, '', 'may not have more than one field specified at a time'));
  return errors;
}

/** Splits `metadata.labels['app']` into path and subscript. */
function splitSubscript(path: string): readonly [path: string, subscript: string] | undefined {
  const open = path.indexOf("['");
  return path.endsWith("']") && open > 0 ? [path.slice(0, open), path.slice(open + 2, -2)] : undefined;
}

export function validateFieldRef(
  { apiVersion = '', fieldPath = '' }: corev1.ObjectFieldSelector,
  allowed: readonly string[],
  path: string,
): FieldError[] {
  if (apiVersion === '') return [required(`${path}.apiVersion`, '')];
  if (!fieldPath) return [required(`${path}.fieldPath`, '')];
  const wrong = (why: string): FieldError[] => [
    invalidValue(`${path}.fieldPath`, fieldPath, `error converting fieldPath: ${why}`),
  ];
  if (apiVersion !== 'v1') return wrong(`unsupported pod version: ${apiVersion}`);
  const parts = splitSubscript(fieldPath);
  if (parts !== undefined) {
    const [field, subscript] = parts;
    if (field === 'metadata.annotations') return qualifiedName(subscript.toLowerCase(), path);
    if (field === 'metadata.labels') return qualifiedName(subscript, path);
    return wrong(`field label does not support subscript: ${fieldPath}`);
  }
  const field = fieldPath === 'spec.host' ? 'spec.nodeName' : fieldPath;
  if (!KNOWN_FIELDS.has(field)) return wrong(`field label not supported: ${fieldPath}`);
  return allowed.includes(field) ? [] : [notSupported(`${path}.fieldPath`, field, [...allowed].sort())];
}

export function validateResourceFieldRef(
  { containerName = '', resource = '', divisor }: corev1.ResourceFieldSelector,
  isVolume: boolean,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const isHugePages = /^(?:limits|requests)\.hugepages-/.test(resource);
  if (isVolume && containerName === '') errors.push(required(`${path}.containerName`, ''));
  else if (resource === '') errors.push(required(`${path}.resource`, ''));
  else if (!RESOURCES.includes(resource) && !isHugePages)
    errors.push(notSupported(`${path}.resource`, resource, RESOURCES));

  if (divisor === undefined || quantitySign(quantityOf(divisor)) === 0) return errors;
  const isCpu = resource.endsWith('.cpu');
  if (!isCpu && !isHugePages && !RESOURCES.includes(resource)) return errors;
  if (!(isCpu ? ['1m', '1'] : SIZES).includes(canonicalQuantity(divisor)))
    errors.push(invalidValue(`${path}.divisor`, resource, divisorMessage(isCpu, isHugePages, resource)));
  return errors;
}

function divisorMessage(isCpu: boolean, isHugePages: boolean, resource: string): string {
  if (isCpu) return "only divisor's values 1m and 1 are supported with the cpu resource";
  const what = isHugePages
    ? 'hugepages'
    : resource.endsWith('.memory')
      ? 'memory'
      : 'local ephemeral storage';
  return `only divisor's values ${SIZES.join(', ')} are supported with the ${what} resource`;
}

function validateKeyRef(
  { name = '', key = '' }: { readonly name?: string; readonly key?: string },
  path: string,
): FieldError[] {
  return [
    ...messages(nameIsDNSSubdomain(name, false), name, `${path}.name`),
    ...(key === '' ? [required(`${path}.key`, '')] : messages(isConfigMapKey(key), key, `${path}.key`)),
  ];
}

function validateFileKeyRef(
  { key = '', volumeName = '', path: file = '' }: corev1.FileKeySelector,
  path: string,
): FieldError[] {
  return [
    ...(key === '' ? [required(`${path}.key`, '')] : messages(isRelaxedEnvVarName(key), key, `${path}.key`)),
    ...(volumeName === ''
      ? [required(`${path}.volumeName`, '')]
      : dnsLabel(volumeName, `${path}.volumeName`)),
    ...(file === '' ? [required(`${path}.path`, '')] : pathWithoutBacksteps(file, `${path}.path`)),
  ];
}

export function validateEnvFrom(
  sources: readonly corev1.EnvFromSource[] | undefined,
  path: string,
): FieldError[] {
  return each(sources, path, ({ prefix = '', configMapRef, secretRef }, at) => {
    const errors = prefix === '' ? [] : messages(isRelaxedEnvVarName(prefix), prefix, `${at}.prefix`);
    for (const [field, reference] of [
      ['configMapRef', configMapRef],
      ['secretRef', secretRef],
    ] as const) {
      if (reference === undefined) continue;
      const { name = '' } = reference;
      errors.push(
        ...(name === ''
          ? [required(`${at}.${field}.name`, '')]
          : messages(nameIsDNSSubdomain(name, true), name, `${at}.${field}.name`)),
      );
    }
    if (configMapRef === undefined && secretRef === undefined)
      errors.push(invalidValue(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    else if (configMapRef !== undefined && secretRef !== undefined)
      errors.push(invalidValue(path, '', 'may not have more than one field specified at a time'));
    return errors;
  });
}
