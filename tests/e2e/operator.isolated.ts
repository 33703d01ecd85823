import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, useCluster } from '../support/cluster.ts';
import { podManifest } from '../support/manifests.ts';
import { until } from '../support/waiting.ts';

// An operator as one installs them: a definition, a controller in a pod that follows its objects with a token of its own,
// and an admission webhook behind a Service. All of it is Node.js without any library.

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });

const GROUP = 'greetings.example.com';

const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `greetings.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: { plural: 'greetings', kind: 'Greeting', shortNames: ['gr'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: [{ name: 'Said', type: 'string', jsonPath: '.status.said' }],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['name'],
                properties: {
                  name: { type: 'string', maxLength: 20 },
                  tone: { type: 'string', default: 'friendly' },
                },
                'x-kubernetes-validations': [{ rule: "self.tone != 'rude'", message: 'be polite' }],
              },
              status: { type: 'object', properties: { said: { type: 'string' } } },
            },
          },
        },
      },
    ],
  },
};

const CONTROLLER = `
  const fs = require('fs');
  const dir = '/var/run/secrets/kubernetes.io/serviceaccount/';
  const token = fs.readFileSync(dir + 'token', 'utf8');
  const https = require('https');
  const ca = fs.readFileSync(dir + 'ca.crt');
  const base = '/apis/${GROUP}/v1';
  const ask = (method, path, body, onLine) => new Promise((resolve, reject) => {
    const request = https.request({ host: 'kubernetes.default.svc', port: 443, method, path, ca,
      headers: { authorization: 'Bearer ' + token, 'content-type': 'application/merge-patch+json' } }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
        if (!onLine) return;
        const lines = text.split('\\n');
        text = lines.pop();
        for (const line of lines) onLine(JSON.parse(line));
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
    request.end(body && JSON.stringify(body));
  });
  const greet = ({ type, object }) => {
    if (type === 'DELETED' || object.status) return;
    const { namespace, name } = object.metadata;
    const said = 'Hello ' + object.spec.name + ', ' + object.spec.tone;
    ask('PATCH', base + '/namespaces/' + namespace + '/greetings/' + name + '/status', { status: { said } }).catch(console.error);
  };
  const follow = () => ask('GET', base + '/greetings?watch=true&resourceVersion=0', undefined, greet).then(follow, () => setTimeout(follow, 500));
  follow();
  process.on('SIGTERM', () => process.exit(0));
`;

const WEBHOOK = `
  const fs = require('fs');
  require('https').createServer({ key: fs.readFileSync('/tls/tls.key'), cert: fs.readFileSync('/tls/tls.crt') }, (request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk)).on('end', () => {
      if (!text) return response.end('ok');
      const { apiVersion, request: { uid, object } } = JSON.parse(text);
      const allowed = object.spec.name !== 'Voldemort';
      const patch = Buffer.from(JSON.stringify([{ op: 'add', path: '/metadata/labels', value: { seen: 'yes' } }])).toString('base64');
      response.end(JSON.stringify({ kind: 'AdmissionReview', apiVersion, response: {
        uid, allowed, ...(allowed ? { patch, patchType: 'JSONPatch' } : { status: { message: 'must not be named' } }) } }));
    });
  }).listen(8443);
  process.on('SIGTERM', () => process.exit(0));
`;

function program(name: string, text: string, spec: object = {}, container: object = {}): object {
  return podManifest(
    name,
    {
      containers: [
        { name: 'main', image: 'guestbook:1', command: ['/usr/local/bin/node', '-e', text], ...container },
      ],
      ...spec,
    },
    { labels: { name } },
  );
}

function certificate(directory: string, hostName: string): { readonly key: string; readonly cert: string } {
  const [key, cert] = [join(directory, 'hook.key'), join(directory, 'hook.crt')];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=hook', '-addext', `subjectAltName=DNS:${hostName}`, '-keyout', key, '-out', cert],
    ],
    { stdio: 'ignore' },
  );
  return { key: readFileSync(key, 'base64'), cert: readFileSync(cert, 'base64') };
}

const greeting = (name: string, spec: object): object => ({
  apiVersion: `${GROUP}/v1`,
  kind: 'Greeting',
  metadata: { name },
  spec,
});

describe('an operator', () => {
  it('follows its objects from a pod, and its webhook behind a Service has its say', async () => {
    const { kubectl, installation } = cluster;
    const { key, cert } = certificate(installation.directory, 'greeter-hook.default.svc');
    await cluster.apply(
      DEFINITION,
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'greeter' } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'greeter' },
        rules: [
          { apiGroups: [GROUP], resources: ['greetings'], verbs: ['get', 'list', 'watch'] },
          { apiGroups: [GROUP], resources: ['greetings/status'], verbs: ['patch'] },
        ],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'greeter' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'greeter' },
        subjects: [{ kind: 'ServiceAccount', name: 'greeter', namespace: 'default' }],
      },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'hook-tls' },
        type: 'kubernetes.io/tls',
        data: { 'tls.key': key, 'tls.crt': cert },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'greeter-hook' },
        spec: { selector: { name: 'hook' }, ports: [{ port: 443, targetPort: 8443 }] },
      },
    );
    await kubectl.ok('wait', '--for=condition=Established', `crd/greetings.${GROUP}`, '--timeout=20s');
    await cluster.apply(
      program('controller', CONTROLLER, { serviceAccountName: 'greeter' }),
      program(
        'hook',
        WEBHOOK,
        { volumes: [{ name: 'tls', secret: { secretName: 'hook-tls', defaultMode: 0o444 } }] },
        {
          volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
          readinessProbe: { httpGet: { port: 8443, scheme: 'HTTPS' }, periodSeconds: 1 },
        },
      ),
    );
    for (const name of ['controller', 'hook']) await cluster.untilReady(name);
    await cluster.apply({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'greeter' },
      webhooks: [
        {
          name: `hook.${GROUP}`,
          clientConfig: {
            service: { namespace: 'default', name: 'greeter-hook', path: '/admit' },
            caBundle: cert,
          },
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          rules: [
            { operations: ['CREATE'], apiGroups: [GROUP], apiVersions: ['v1'], resources: ['greetings'] },
          ],
        },
      ],
    });
    // The Service's endpoint and rules follow the pod's readiness.
    await until(
      async () =>
        (
          await kubectl.run(['create', '-f', '-'], {
            stdin: JSON.stringify(greeting('first', { name: 'World' })),
          })
        ).code === 0,
      20_000,
    );

    await kubectl.ok(
      'wait',
      '--for=jsonpath={.status.said}=Hello World, friendly',
      'gr/first',
      '--timeout=20s',
    );
    expect(await kubectl.ok('get', 'greetings')).toMatch(/^NAME +SAID\nfirst +Hello World, friendly\n$/);
    expect(await kubectl.ok('get', 'gr', 'first', '-o', 'jsonpath={.metadata.labels.seen}')).toBe('yes');

    const refuse = async (spec: object): Promise<string> => {
      const { stderr } = await kubectl.run(['create', '-f', '-'], {
        stdin: JSON.stringify(greeting('bad', spec)),
      });
      return stderr;
    };
    expect(await refuse({ name: 'Voldemort' })).toContain(
      `admission webhook "hook.${GROUP}" denied the request: must not be named`,
    );
    expect(await refuse({ name: 'You', tone: 'rude' })).toContain('be polite');
    expect(await refuse({})).toContain('spec.name: Required value');

    await kubectl.ok(
      'delete',
      `crd/greetings.${GROUP}`,
      'mutatingwebhookconfiguration/greeter',
      '--timeout=20s',
    );
    expect(await kubectl.fails('get', 'greetings')).toContain('could not find the requested resource');
  });
});
