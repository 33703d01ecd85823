import type { corev1 } from '@k8ts/api';

import type { Container, Pod, ResourceList, Service } from '../pod/types.ts';
import { expand } from './expansion.ts';
import { fieldValue, type PodAddresses, resourceFieldValue } from './field-ref.ts';
import { serviceEnvironment } from './service-environment.ts';

/** The ConfigMaps and Secrets of a pod. Both throw `NotFound` as the API says it. */
export interface ConfigSource {
  configMap(namespace: string, name: string): Promise<corev1.ConfigMap>;
  secret(namespace: string, name: string): Promise<corev1.Secret>;
}

export interface EnvironmentInput {
  readonly pod: Pod;
  readonly container: Container;
  readonly addresses: PodAddresses;
  readonly services: readonly Service[];
  readonly allocatable: ResourceList;
  readonly config: ConfigSource;
  readonly isNotFound: (error: unknown) => boolean;
  /** Keys of an envFrom source that cannot be names of variables. */
  readonly onInvalidNames: (message: string) => void;
}

/**
 * A container's environment in order: envFrom, env with `$(NAME)` replaced by what stands before it, services
 * (makeEnvironmentVariables in pkg/kubelet/kubelet_pods.go). Throws when something that is not optional is missing.
 */
export async function containerEnvironment(input: EnvironmentInput): Promise<Map<string, string>> {
  const { pod, container } = input;
  const namespace = pod.metadata.namespace ?? '';
  const services = serviceEnvironment(input.services, namespace, pod.spec.enableServiceLinks ?? true);
  const values = new Map<string, string>();

  for (const source of container.envFrom ?? [])
    for (const [name, value] of await envFrom(input, namespace, source)) values.set(name, value);

  for (const variable of container.env ?? []) {
    let value = variable.value ?? '';
    if (value !== '') {
      value = expand(value, (name) => values.get(name) ?? services.get(name));
    } else if (variable.valueFrom !== undefined) {
      const resolved = await valueFrom(input, namespace, variable.valueFrom);
      if (resolved === undefined) continue; // optional and missing
      value = resolved;
    }
    values.delete(variable.name); // a later definition also takes the later place
    values.set(variable.name, value);
  }
  for (const [name, value] of services) if (!values.has(name)) values.set(name, value);
  return values;
}

async function envFrom(
  input: EnvironmentInput,
  namespace: string,
  source: corev1.EnvFromSource,
): Promise<[string, string][]> {
  const { configMapRef, secretRef } = source;
  const ref = configMapRef ?? secretRef;
  if (ref === undefined) return [];
  const name = ref.name ?? '';
  let data: Readonly<Record<string, string>>;
  try {
    data =
      configMapRef !== undefined
        ? ((await input.config.configMap(namespace, name)).data ?? {})
        : decoded((await input.config.secret(namespace, name)).data);
  } catch (error) {
    if (ref.optional === true && input.isNotFound(error)) return [];
    throw error;
  }
  const invalid: string[] = [];
  const pairs: [string, string][] = [];
  for (const key of Object.keys(data).sort()) {
    const variable = `${source.prefix ?? ''}${key}`;
    if (isVariableName(variable)) pairs.push([variable, data[key] as string]);
    else invalid.push(variable);
  }
  if (invalid.length > 0)
    input.onInvalidNames(
      `Keys [${invalid.join(', ')}] from the EnvFrom ${configMapRef !== undefined ? 'configMap' : 'secret'} ${namespace}/${name} were skipped since they are considered invalid environment variable names.`,
    );
  return pairs;
}

/** Since KEP-4369 every printable ASCII text without `=`. */
export function isVariableName(name: string): boolean {
  return /^[ -<>-~]+$/.test(name);
}

async function valueFrom(
  input: EnvironmentInput,
  namespace: string,
  source: corev1.EnvVarSource,
): Promise<string | undefined> {
  if (source.fieldRef !== undefined) return fieldValue(input.pod, source.fieldRef.fieldPath, input.addresses);
  if (source.resourceFieldRef !== undefined) {
    const { containerName, resource, divisor } = source.resourceFieldRef;
    const target =
      containerName === undefined || containerName === ''
        ? input.container
        : namedContainer(input.pod, containerName);
    return resourceFieldValue(target, resource, divisor, input.allocatable);
  }
  if (source.configMapKeyRef !== undefined) {
    const { name = '', key, optional } = source.configMapKeyRef;
    return optionally(input, optional, async () => {
      const value = (await input.config.configMap(namespace, name)).data?.[key];
      if (value === undefined && optional !== true)
        throw new Error(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
      return value;
    });
  }
  if (source.secretKeyRef !== undefined) {
    const { name = '', key, optional } = source.secretKeyRef;
    return optionally(input, optional, async () => {
      const value = (await input.config.secret(namespace, name)).data?.[key];
      if (value === undefined && optional !== true)
        throw new Error(`couldn't find key ${key} in Secret ${namespace}/${name}`);
      return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
    });
  }
  return '';
}

async function optionally(
  input: EnvironmentInput,
  optional: boolean | undefined,
  read: () => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    return await read();
  } catch (error) {
    if (optional === true && input.isNotFound(error)) return undefined;
    throw error;
  }
}

export function namedContainer(pod: Pod, name: string): Container {
  const found = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
    (candidate) => candidate.name === name,
  );
  if (found === undefined) throw new Error(`container ${name} not found`);
  return found;
}

function decoded(data: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}
