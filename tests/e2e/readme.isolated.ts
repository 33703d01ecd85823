import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { findKubectls } from '../clients/kubectl/versions.ts';
import { ROOT } from '../support/installation.ts';
import { leftovers, traces, type Traces } from '../support/leftovers.ts';
import { until } from '../support/waiting.ts';
import { readmeCommands } from './readme.ts';

const DATA_DIR = '/var/lib/k8ts';
const LIMIT = 60_000;

let home: string;
let before: Traces;

beforeAll(() => {
  // `npm run up` would install them first, and inside there is no way to the registry.
  const lock = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex');
  const stamp = join(ROOT, 'node_modules/.cache/k8ts-installed');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock)
    throw new Error('the npm dependencies are not up to date: npm run test:e2e sees to it');
  // The README's commands use the default data directory: here it is one of our own, which nobody else sees.
  mkdirSync(DATA_DIR, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', DATA_DIR]);
  home = mkdtempSync(join(tmpdir(), 'k8ts-readme-'));
  mkdirSync(join(home, 'bin'));
  symlinkSync(findKubectls().at(-1)?.path ?? 'missing', join(home, 'bin/kubectl'));
  before = traces(DATA_DIR);
});
afterAll(() => {
  execFileSync('umount', [DATA_DIR]);
  rmSync(home, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function start(command: string): { readonly ended: Promise<Ended>; output(): string; stop(): void } {
  const { KUBECONFIG: _own, ...env } = process.env;
  const child = spawn('bash', ['-c', command], {
    cwd: ROOT,
    env: { ...env, HOME: home, PATH: `${join(home, 'bin')}${delimiter}${env['PATH'] ?? ''}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT,
    killSignal: 'SIGKILL',
    detached: true,
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return {
    // "exit", for what goes on in the background keeps the output open.
    ended: new Promise((resolve) => {
      child.once('exit', (code) => setTimeout(() => resolve({ code, output: text }), 50));
    }),
    output: () => text,
    stop: () => process.kill(-(child.pid as number), 'SIGTERM'),
  };
}

async function succeed(command: string): Promise<string> {
  const { code, output } = await start(command).ended;
  if (code !== 0) throw new Error(`${command} ended with ${code ?? 'no code'}:\n${output}`);
  return output;
}

/** What each command must say; a function takes over commands that do not end by themselves. */
const EXPECTED: Readonly<Record<string, RegExp | 'made before' | ((command: string) => Promise<void>)>> = {
  'npm run up -- --detach': /starting the cluster in the background/,
  'npx tsx examples/demo/build.ts': /guestbook\.tar \(\d+ MB\)/,
  'bin/k8ts.mjs image import examples/demo/work/guestbook.tar': /guestbook:1\n.*guestbook:2/s,
  'kubectl apply -f examples/demo/demo.yaml': /deployment\.apps\/web created\nservice\/web created/,
  'kubectl wait --for=condition=Available deployment --all': /deployment\.apps\/web condition met/,
  'kubectl rollout status deployment/web': /deployment "web" successfully rolled out/,
  'curl http://localhost:30080/': /"greeting": "Hello from k8ts"/,
  "curl -d 'Hello!' http://localhost:30080/": /"entries": \[\s+"Hello!"\s+\]/,
  'kubectl port-forward service/web 8080:80': async (command) => {
    const forward = start(command);
    await until(() => forward.output().includes('Forwarding from 127.0.0.1:8080 -> 8080'));
    expect(await succeed('curl -s http://localhost:8080/')).toContain('"Hello!"');
    forward.stop();
    await forward.ended;
  },
  'kubectl set image deployment/web web=guestbook:2': /deployment\.apps\/web image updated/,
  'kubectl rollout undo deployment/web': /deployment\.apps\/web rolled back/,
  'kubectl logs deployment/web': /listening on 8080/,
  'kubectl exec -it deployment/web -- /usr/local/bin/node -p process.version': async (command) => {
    // `script` gives it a terminal.
    const output = await succeed(`script -qec '${command}' /dev/null < /dev/null`);
    expect(output).toContain(process.version);
    expect(output).not.toContain('Unable to use a TTY');
  },
  'npx tsx examples/redis/build.ts': 'made before',
  'bin/k8ts.mjs image import examples/redis/work/redis.tar': /redis:debian/,
  'kubectl apply -f examples/redis/redis.yaml': /pod\/redis-client created/,
  'kubectl logs -f pod/redis-client': async (command) => {
    // As a person would: once the container runs, which kubectl says by itself.
    await succeed(
      `until kubectl get pod redis-client -o jsonpath='{.status.phase}' | grep -vq Pending; do sleep 0.1; done`,
    );
    expect(await succeed(command)).toMatch(/^hello$/m);
  },
  'bin/k8ts.mjs down': /stopping the cluster/,
};

/** The commands build on each other. */
let failed = false;

describe('the walk through of the README', () => {
  for (const command of readmeCommands('## Start a cluster', '## In a test'))
    it(command, async () => {
      if (failed) throw new Error('a command before has failed');
      failed = true;
      const expected = EXPECTED[command];
      if (expected === undefined) throw new Error('say in EXPECTED what this command of the README must do');
      if (expected === 'made before') {
        failed = false;
        return; // needs a way out; see e2e.test.ts
      }
      if (typeof expected === 'function') await expected(command);
      else expect(await succeed(command)).toMatch(expected);
      failed = false;
    });

  it('leaves nothing on the machine', () => {
    expect(leftovers(before, traces(DATA_DIR))).toEqual({});
  });
});
