import { list, service, type Labels } from '../../support/manifests.ts';
import { NODE } from './support.ts';

/**
 * The frontend writes to the primary and reads from the replicas. These ask the primary for what there is when they start,
 * and hear from it what is written afterwards.
 */
const PROGRAM = `
  const role = process.argv[1];
  const entries = {};
  const replicas = new Set();
  const ask = async (host, path) => {
    const response = await fetch('http://' + host + ':6379' + path, { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(host + ' answers ' + response.status);
    return response.json();
  };
  const backend = {
    '/register': ({ host }) => (replicas.add(host), entries),
    '/get': ({ key }) => ({ data: entries[key] ?? '' }),
    '/set': async ({ key, value }, search) => {
      entries[key] = value;
      await Promise.all([...replicas].map((replica) => ask(replica, '/set' + search)));
      return { message: 'Updated' };
    },
  };
  const frontend = {
    '/guestbook': ({ cmd }, search) => ask(cmd === 'set' ? 'agnhost-primary' : 'agnhost-replica', '/' + cmd + search),
  };
  const paths = role === 'frontend' ? frontend : backend;
  require('http').createServer(async (request, response) => {
    const { pathname, searchParams, search } = new URL(request.url, 'http://guestbook');
    try {
      response.end(JSON.stringify(await paths[pathname](Object.fromEntries(searchParams), search)));
    } catch (error) {
      response.writeHead(502).end(String(error));
    }
  }).listen(role === 'frontend' ? 8080 : 6379);
  const register = async () => {
    const [{ address }] = Object.values(require('os').networkInterfaces()).flat().filter(({ internal }) => !internal);
    await ask('agnhost-primary', '/register?host=' + address).then(
      (known) => Object.assign(entries, known),
      () => setTimeout(register, 500),
    );
  };
  if (role === 'replica') register();
  process.on('SIGTERM', () => process.exit(0));`;

const part = (
  name: string,
  role: string,
  replicas: number,
  port: number,
  labels: Labels,
): readonly object[] => [
  service(name, labels, role === 'frontend' ? 80 : port, port),
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: role,
              image: 'guestbook:1',
              command: [NODE, '-e', PROGRAM, role],
              resources: { requests: { cpu: '100m', memory: '100Mi' } },
              ports: [{ containerPort: port }],
            },
          ],
        },
      },
    },
  },
];

/** Upstream's guestbook application: a primary, two replicas of it, three frontends, and their services. */
export const GUESTBOOK: object = list(
  ...part('agnhost-replica', 'replica', 2, 6379, { app: 'agnhost', role: 'replica', tier: 'backend' }),
  ...part('agnhost-primary', 'primary', 1, 6379, { app: 'agnhost', role: 'primary', tier: 'backend' }),
  ...part('frontend', 'frontend', 3, 8080, { app: 'guestbook', tier: 'frontend' }),
);
