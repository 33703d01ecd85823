import type { Service } from '../pod/types.ts';

/** Services of this name in namespace `default` are seen by all pods. */
const MASTER_SERVICE = 'kubernetes';
const MASTER_NAMESPACE = 'default';

/**
 * Variables that tell a container of the services of its namespace, as Docker links did (pkg/kubelet/envvars):
 *
 *     REDIS_SERVICE_HOST=10.96.0.7      REDIS_SERVICE_PORT=6379   REDIS_SERVICE_PORT_MAIN=6379 (a named port)
 *     REDIS_PORT=tcp://10.96.0.7:6379   REDIS_PORT_6379_TCP=tcp://10.96.0.7:6379
 *     REDIS_PORT_6379_TCP_PROTO=tcp     REDIS_PORT_6379_TCP_PORT=6379   REDIS_PORT_6379_TCP_ADDR=10.96.0.7
 */
export function serviceEnvironment(
  services: readonly Service[],
  namespace: string,
  enableServiceLinks: boolean,
): Map<string, string> {
  const variables = new Map<string, string>();
  const chosen = new Map<string, Service>();
  for (const service of services) {
    const { name } = service.metadata;
    if (service.metadata.namespace === namespace && (enableServiceLinks || isMaster(service)))
      chosen.set(name, service);
    else if (isMaster(service) && !chosen.has(name)) chosen.set(name, service);
  }
  for (const service of [...chosen.values()].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)))
    addService(variables, service);
  return variables;
}

function isMaster({ metadata }: Service): boolean {
  return metadata.name === MASTER_SERVICE && metadata.namespace === MASTER_NAMESPACE;
}

function addService(variables: Map<string, string>, { metadata, spec }: Service): void {
  const ip = spec?.clusterIP;
  const ports = spec?.ports ?? [];
  const first = ports[0];
  if (ip === undefined || ip === '' || ip === 'None' || first === undefined) return;
  const name = variableName(metadata.name);
  variables.set(`${name}_SERVICE_HOST`, ip);
  variables.set(`${name}_SERVICE_PORT`, String(first.port));
  for (const port of ports)
    if (port.name !== undefined && port.name !== '')
      variables.set(`${name}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
  const address = ip.includes(':') ? `[${ip}]` : ip;
  for (const port of ports) {
    const protocol = port.protocol ?? 'TCP';
    const url = `${protocol.toLowerCase()}://${address}:${port.port}`;
    const prefix = `${name}_PORT_${port.port}_${protocol}`;
    if (port === first) variables.set(`${name}_PORT`, url);
    variables.set(prefix, url);
    variables.set(`${prefix}_PROTO`, protocol.toLowerCase());
    variables.set(`${prefix}_PORT`, String(port.port));
    variables.set(`${prefix}_ADDR`, ip);
  }
}

function variableName(name: string): string {
  return name.replaceAll('-', '_').toUpperCase();
}
