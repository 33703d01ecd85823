/** A conversion webhook as upstream's test image has one: `hostPort` of v1 is `host` and `port` of v2. */
import { corev1 } from '@k8ts/api';
import type { Client } from '@k8ts/client';

import { startWebhookServer, type ConversionRequest } from '../support/webhook-server.ts';
import { isGone } from './support.ts';
import type { Definition, DefinitionVersion } from './custom-resources.ts';

const NAMESPACE = 'conversion';
const SERVICE = 'crd-conversion-webhook';

/** Texts at the top of the object, all of them selectable. */
export function versionOf(name: string, storage: boolean, fields: readonly string[]): DefinitionVersion {
  const properties = Object.fromEntries(fields.map((field) => [field, { type: 'string' }]));
  return {
    name,
    served: true,
    storage,
    schema: { openAPIV3Schema: { type: 'object', properties } },
    selectableFields: fields.map((field) => ({ jsonPath: `.${field}` })),
  };
}

/** v1 and v2, of which one is stored. */
export function hostPortVersions(stored: 'v1' | 'v2'): DefinitionVersion[] {
  return [versionOf('v1', stored === 'v1', ['hostPort']), versionOf('v2', stored === 'v2', ['host', 'port'])];
}

export interface ConversionService extends AsyncDisposable {
  readonly conversion: NonNullable<Definition['spec']['conversion']>;
}

/** A Service that leads out of the cluster: to a webhook on this machine. */
export async function startConversionService(client: Client): Promise<ConversionService> {
  const server = await startWebhookServer<ConversionRequest>(`${SERVICE}.${NAMESPACE}.svc`, {
    '/crdconvert': ({ desiredAPIVersion, objects }) => {
      const convertedObjects = objects.map((object) => converted(object, desiredAPIVersion));
      return { result: { status: 'Success' }, convertedObjects };
    },
  });
  const namespaces = client.resource(corev1.namespaces);
  if (await isGone(namespaces.get(NAMESPACE)))
    await namespaces.create({ metadata: { name: NAMESPACE }, spec: {}, status: {} });
  await client.resource(corev1.services, NAMESPACE).create({
    metadata: { name: SERVICE },
    spec: { type: 'ExternalName', externalName: 'localhost' },
    status: {},
  });
  return {
    conversion: {
      strategy: 'Webhook',
      webhook: {
        clientConfig: {
          service: { namespace: NAMESPACE, name: SERVICE, path: '/crdconvert', port: server.port },
          caBundle: server.caBundle,
        },
        conversionReviewVersions: ['v1', 'v1beta1'],
      },
    },
    async [Symbol.asyncDispose]() {
      await client.resource(corev1.services, NAMESPACE).delete(SERVICE);
      await server[Symbol.asyncDispose]();
    },
  };
}

function converted(object: ConversionRequest['objects'][number], apiVersion: string): object {
  const { hostPort, host, port, ...rest } = object;
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  if (apiVersion.endsWith('/v1')) {
    // A stub that says nothing has nothing to convert.
    return host === undefined && port === undefined
      ? { ...rest, apiVersion }
      : { ...rest, apiVersion, hostPort: port === undefined ? text(host) : `${text(host)}:${text(port)}` };
  }
  if (hostPort === undefined) return { ...rest, apiVersion };
  const [first = '', second] = text(hostPort).split(':');
  return { ...rest, apiVersion, host: first, ...(second === undefined ? {} : { port: second }) };
}
