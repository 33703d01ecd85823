import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { HttpTransportOptions } from './http-transport.ts';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InClusterOptions {
  /** Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where the service account's token, CA and namespace are mounted. */
  readonly directory?: string;
}

/** How a container reaches the API of the cluster it runs in: with its pod's service account. */
export async function inClusterConfig(
  options: InClusterOptions = {},
): Promise<{ readonly transport: HttpTransportOptions; readonly namespace: string }> {
  const { env = process.env, directory = SERVICE_ACCOUNT } = options;
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (!host || !port)
    throw new Error(
      'unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined',
    );
  const tokenFile = join(directory, 'token');
  await readFile(tokenFile); // a missing token is said now, not with the first request
  const [ca, namespace] = await Promise.all([
    readFile(join(directory, 'ca.crt'), 'utf8'),
    readFile(join(directory, 'namespace'), 'utf8').catch(() => 'default'),
  ]);
  return {
    transport: { server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, ca, tokenFile },
    namespace: namespace.trim(),
  };
}
