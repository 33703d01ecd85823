import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Request {
  readonly uid: string;
}

export interface AdmissionRequest extends Request {
  readonly operation: string;
  readonly name?: string;
  readonly object: Readonly<Record<string, unknown>> | null;
  readonly oldObject: Readonly<Record<string, unknown>> | null;
}

export interface ConversionRequest extends Request {
  readonly desiredAPIVersion: string;
  readonly objects: readonly (Readonly<Record<string, unknown>> & { readonly apiVersion: string })[];
}

/** The response of a review, after however long; undefined: there is none. */
export type WebhookBehaviour<R extends Request = AdmissionRequest> = (
  request: R,
) => object | undefined | Promise<object | undefined>;

export interface WebhookServer extends AsyncDisposable {
  readonly port: number;
  /** Base64 of the PEM of the authority to be trusted. */
  readonly caBundle: string;
}

/** A webhook's HTTPS server on loopback, with a certificate for `hostName`. */
export async function startWebhookServer<R extends Request = AdmissionRequest>(
  hostName: string,
  behaviours: Readonly<Record<string, WebhookBehaviour<R>>>,
): Promise<WebhookServer> {
  const { key, cert } = certificateFor(hostName);
  const server = createServer({ key, cert }, (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { pathname } = new URL(request.url ?? '/', 'https://hook');
      const review = JSON.parse(text) as {
        readonly kind: string;
        readonly apiVersion: string;
        readonly request: R;
      };
      void Promise.resolve(behaviours[pathname]?.(review.request)).then((answer) => {
        if (answer === undefined) return;
        const { uid } = review.request;
        response.end(
          JSON.stringify({
            kind: review.kind,
            apiVersion: review.apiVersion,
            response: { uid, ...answer },
          }),
        );
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    caBundle: cert.toString('base64'),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function certificateFor(hostName: string): { readonly key: Buffer; readonly cert: Buffer } {
  const directory = mkdtempSync(join(tmpdir(), 'k8ts-webhook-'));
  try {
    const [key, cert] = [join(directory, 'key'), join(directory, 'cert')];
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...[
          '-subj',
          '/CN=webhook',
          '-addext',
          `subjectAltName=DNS:${hostName}`,
          '-keyout',
          key,
          '-out',
          cert,
        ],
      ],
      { stdio: 'ignore' },
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export function jsonPatch(...operations: readonly object[]): object {
  return {
    allowed: true,
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
  };
}
