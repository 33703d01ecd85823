/** A conversion webhook on loopback, and a definition that it converts: what v1 calls `hostPort` is `host` and `port` in v2. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiCaller } from './api-callers.ts';
import { testAuthority, testCertificate } from './certificates.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface ConvertedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Fields & { readonly name: string };
  readonly spec?: Fields;
  readonly status?: Fields;
}

export interface ConversionReviewBody {
  readonly kind: string;
  readonly apiVersion: string;
  readonly request: {
    readonly uid: string;
    readonly desiredAPIVersion: string;
    readonly objects: readonly ConvertedObject[];
  };
}

/** An answer; a number: a status code; `never`: none; `break`: the connection breaks. */
type Behaviour = (review: ConversionReviewBody) => unknown;

export interface ConversionWebhook extends AsyncDisposable {
  readonly url: string;
  /** Base64 of the PEM of the authority to be trusted. */
  readonly caBundle: string;
  /** What was asked, in order. */
  readonly asked: ConversionReviewBody[];
  readonly paths: string[];
  behaviour: Behaviour;
}

export async function startConversionWebhook(): Promise<ConversionWebhook> {
  const authority = testAuthority('conversion');
  const { cert, key } = testCertificate(authority, '/CN=webhook', ['127.0.0.1']);
  const asked: ConversionReviewBody[] = [];
  const paths: string[] = [];
  const server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString()) as ConversionReviewBody;
      asked.push(review);
      paths.push(request.url ?? '');
      void Promise.resolve(webhook.behaviour(review)).then((answer) => {
        if (answer === 'never') return;
        if (answer === 'break') request.socket.destroy();
        else if (typeof answer === 'number') response.writeHead(answer).end('broken');
        else response.end(JSON.stringify(answer));
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const webhook: ConversionWebhook = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/convert`,
    caBundle: Buffer.from(authority.cert).toString('base64'),
    asked,
    paths,
    behaviour: converted,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return webhook;
}

export function answerTo(
  { apiVersion, request: { uid } }: ConversionReviewBody,
  convertedObjects: readonly unknown[],
): object {
  const response = { uid, result: { status: 'Success' }, convertedObjects };
  return { kind: 'ConversionReview', apiVersion, response };
}

/** As the webhook should answer. */
export function converted(review: ConversionReviewBody): object {
  const { desiredAPIVersion, objects } = review.request;
  return answerTo(
    review,
    objects.map((object) => convertEndpoint(object, desiredAPIVersion)),
  );
}

export function convertEndpoint(object: ConvertedObject, apiVersion: string): ConvertedObject {
  const { hostPort, host, port, ...rest } = object.spec ?? {};
  const spec = apiVersion.endsWith('/v2') ? splitFields(hostPort) : joinedField(host, port);
  return { ...object, apiVersion, ...(object.spec === undefined ? {} : { spec: { ...rest, ...spec } }) };
}

function splitFields(hostPort: unknown): Fields {
  if (typeof hostPort !== 'string') return {};
  const [host, port] = hostPort.split(':');
  return { host, ...(port === undefined ? {} : { port }) };
}

function joinedField(host: unknown, port: unknown): Fields {
  if (typeof host !== 'string') return {};
  return { hostPort: typeof port === 'string' ? `${host}:${port}` : host };
}

export function endpoints(version: string): string {
  return `/apis/example.com/${version}/namespaces/a/endpoints`;
}

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Endpoints of example.com in v1 and v2, of which `stored` is stored. */
function endpointDefinition(
  { url, caBundle }: Pick<ConversionWebhook, 'url' | 'caBundle'>,
  stored = 'v1',
  conversionReviewVersions: readonly string[] = ['v1', 'v1beta1'],
): { readonly metadata: { readonly name: string }; readonly spec: Fields } {
  const text = { type: 'string' };
  const version = (name: string, fields: readonly string[]): object => ({
    name,
    served: true,
    storage: name === stored,
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: {
          spec: {
            type: 'object',
            properties: {
              ...Object.fromEntries(fields.map((field) => [field, text])),
              replicas: { type: 'integer' },
              tags: { type: 'object', additionalProperties: text },
            },
          },
          status: { type: 'object', properties: { replicas: { type: 'integer' }, phase: text } },
        },
      },
    },
    selectableFields: fields.map((field) => ({ jsonPath: `.spec.${field}` })),
    additionalPrinterColumns: fields.map((field) => ({
      name: field,
      type: 'string',
      jsonPath: `.spec.${field}`,
    })),
    subresources: {
      status: {},
      scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
    },
  });
  return {
    metadata: { name: 'endpoints.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'endpoints', kind: 'Endpoint' },
      versions: [version('v1', ['hostPort']), version('v2', ['host', 'port'])],
      conversion: {
        strategy: 'Webhook',
        webhook: { clientConfig: { url, caBundle }, conversionReviewVersions },
      },
    },
  };
}

/** Endpoints are served, stored in this version: creates the definition or changes it, and waits until that is in effect. */
export async function defineEndpoints(
  api: ApiCaller,
  webhook: ConversionWebhook,
  stored: string,
  reviewVersions?: readonly string[],
): Promise<void> {
  const wanted = endpointDefinition(webhook, stored, reviewVersions);
  const path = `${DEFINITIONS}/${wanted.metadata.name}`;
  const { code, body } = await api.call('GET', path);
  const { resourceVersion } = code === 200 ? body.metadata : {};
  const answer =
    resourceVersion === undefined
      ? await api.call('POST', DEFINITIONS, { body: wanted })
      : await api.call('PUT', path, {
          body: { ...wanted, metadata: { ...wanted.metadata, resourceVersion } },
        });
  if (answer.code !== 200) throw new Error(answer.body.message);
  const { behaviour } = webhook;
  webhook.behaviour = converted;
  for (let turn = 0; turn < 400; turn++) {
    webhook.asked.length = 0;
    const probe = await api.call('POST', endpoints('v1'), {
      query: { dryRun: 'All' },
      body: { metadata: { name: 'probe' } },
    });
    // Who writes what is stored is not converted.
    if (probe.code === 200 && webhook.asked.length > 0 === (stored !== 'v1')) break;
    await sleep(10);
  }
  webhook.behaviour = behaviour;
  webhook.asked.length = 0;
  webhook.paths.length = 0;
}
