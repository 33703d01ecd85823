/** The sample API server in a pod: its certificate is mounted, whom to trust says the cluster. */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';

import { startWardle } from './api-server.ts';

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const CERTIFICATES = '/apiserver.local.config/certificates';
const read = (path: string): string => readFileSync(path, 'utf8');

function ask<T>(method: string, path: string, body?: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: 'kubernetes.default.svc',
        method,
        path,
        ca: read(`${ACCOUNT}/ca.crt`),
        headers: {
          authorization: `Bearer ${read(`${ACCOUNT}/token`)}`,
          ...(body && { 'content-type': 'application/json' }),
        },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve(JSON.parse(text) as T);
          else reject(new Error(`${method} ${path}: ${text}`));
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function run(): Promise<void> {
  const { data } = await ask<{ data: Record<string, string> }>(
    'GET',
    '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication',
  );
  const wardle = await startWardle({
    cert: read(`${CERTIFICATES}/tls.crt`),
    key: read(`${CERTIFICATES}/tls.key`),
    port: 443,
    host: '0.0.0.0',
    frontProxyCa: data['requestheader-client-ca-file'] ?? '',
    allowedNames: JSON.parse(data['requestheader-allowed-names'] ?? '[]') as string[],
    isAllowed: async (spec) => {
      const { status } = await ask<{ status: { allowed: boolean } }>(
        'POST',
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
      );
      return status.allowed;
    },
  });
  console.log(`serving on ${wardle.port}`);
  process.on('SIGTERM', () => process.exit(0));
}

run().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
