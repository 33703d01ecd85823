import { execFile, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { corev1 } from '@k8ts/api';
import { beforeAll, describe, expect, it } from 'vitest';

import { findKubectls } from '../clients/kubectl/versions.ts';
import { BUSYBOX } from '../support/images.ts';
import { GUESTBOOK_ARCHIVE, useCluster } from '../support/cluster.ts';
import { PAUSE, podManifest, script } from '../support/manifests.ts';
import { ROOT } from '../support/installation.ts';
import { until } from '../support/waiting.ts';

const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE] });

/** kubectl with a terminal, as `script` makes one; what is typed comes when the output shows that it is waited for. */
async function onTerminal(args: string, typed: readonly (readonly [RegExp, string])[]): Promise<string> {
  const child = spawn(
    'script',
    ['-qec', `stty rows 33 cols 101; ${findKubectls().at(-1)?.path ?? ''} ${args}`, '/dev/null'],
    {
      env: { ...process.env, KUBECONFIG: cluster.installation.kubeconfig, TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 30_000,
    },
  );
  let output = '';
  const left = [...typed];
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    const next = left[0];
    if (next === undefined || !next[0].test(output)) return;
    left.shift();
    child.stdin.write(next[1]);
  });
  await new Promise((resolve) => child.once('close', resolve));
  if (left.length > 0) throw new Error(`never saw ${String(left[0]?.[0])} in:\n${output}`);
  return output;
}

beforeAll(async () => {
  await cluster.apply(
    podManifest('shell', { containers: [script(PAUSE)] }),
    podManifest('counter', {
      containers: [script('trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done')],
    }),
    podManifest('cat', {
      containers: [{ name: 'app', image: BUSYBOX, command: ['cat'], stdin: true, tty: false }],
    }),
  );
  await cluster.apply(
    podManifest('talker', { containers: [script(`for i in $(seq 10); do echo line $i; done; ${PAUSE}`)] }),
  );
  for (const name of ['talker', 'shell', 'counter', 'cat']) await cluster.untilReady(name);
});

describe('logs', () => {
  it('--tail, --since, --timestamps, --follow', async () => {
    const { kubectl } = cluster;
    await until(async () => (await kubectl.ok('logs', 'counter')).includes('line 10\n'));
    const all = (await kubectl.ok('logs', 'counter')).trimEnd().split('\n');
    expect(all).toEqual(all.map((_, i) => `line ${i + 1}`));
    expect(await kubectl.ok('logs', 'talker', '--tail=3')).toBe('line 8\nline 9\nline 10\n');
    const recent = (await kubectl.ok('logs', 'counter', '--since=1s')).trimEnd().split('\n');
    expect(recent.length).toBeGreaterThan(1);
    expect(recent.length).toBeLessThan(8);
    expect(await kubectl.ok('logs', 'counter', '--timestamps', '--tail=1')).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) line \d+\n$/,
    );
    await using follow = kubectl.start('logs', '--follow', '--tail=1', 'counter');
    await follow.until(/(line \d+\n){5}/);
  });

  it('--previous, and of a container that ended', async () => {
    const { kubectl } = cluster;
    const container = script(
      'test -e /mark/er && { echo second; exec sleep 1000; }; touch /mark/er; echo first; exit 1',
      {
        volumeMounts: [{ name: 'mark', mountPath: '/mark' }],
      },
    );
    await cluster.apply(
      podManifest('twice', { containers: [container], volumes: [{ name: 'mark', emptyDir: {} }] }),
    );
    await cluster.untilPod(
      'twice',
      ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1 && status.containerStatuses[0].ready,
    );
    expect(await kubectl.ok('logs', 'twice', '--previous')).toBe('first\n');
    await until(async () => (await kubectl.ok('logs', 'twice')) === 'second\n');
  });
});

describe('exec and attach', () => {
  it('exit codes, both outputs, standard input', async () => {
    const { kubectl } = cluster;
    const outcome = await kubectl.run(['exec', 'shell', '--', 'sh', '-c', 'echo out; echo err >&2; exit 42']);
    expect(outcome).toMatchObject({ code: 42, stdout: 'out\n' });
    expect(outcome.stderr).toBe('err\ncommand terminated with exit code 42\n');
    const big = 'x'.repeat(3_000_000);
    expect((await kubectl.run(['exec', '-i', 'shell', '--', 'wc', '-c'], { stdin: big })).stdout.trim()).toBe(
      '3000000',
    );
    expect((await kubectl.run(['exec', '-i', 'shell', '--', 'cat'], { stdin: big })).stdout).toBe(big);
    expect(await kubectl.fails('exec', 'shell', '--', 'nothing-like-this')).toMatch(
      /nothing-like-this.*(not found|no such file)/i,
    );
    expect(await kubectl.fails('exec', 'absent', '--', 'true')).toBe(
      'Error from server (NotFound): pods "absent" not found\n',
    );
  });

  it('exec -it has a terminal of the right size', async () => {
    const output = await onTerminal('exec -it shell -- sh', [
      [/\/ # /, 'tty; stty size; echo $TERM\n'],
      [/33 101/, 'exit 3\n'],
    ]);
    expect(output).toMatch(/\/dev\/pts\/\d+/);
    expect(output).toContain('command terminated with exit code 3');
  });

  it('attach', async () => {
    await using attach = cluster.kubectl.start('attach', 'counter');
    await attach.until(/(line \d+\n){3}/);
    await using cat = cluster.kubectl.start('attach', '-i', 'cat');
    cat.write('hello\n');
    await cat.until(/hello\n/);
  });

  it('run -it --rm', async () => {
    const output = await onTerminal(`run once -it --rm --restart=Never --image=${BUSYBOX} -- sh`, [
      [/\/ # /, 'echo typed-$((6*7)); exit\n'],
    ]);
    expect(output).toContain('typed-42');
    expect(output).toContain('pod "once" deleted');
  });

  it('run --attach gives output and exit code', async () => {
    const outcome = await cluster.kubectl.run([
      ...['run', 'fails', '--attach', '--rm', '--restart=Never', `--image=${BUSYBOX}`, '--quiet'],
      ...['--', 'sh', '-c', 'sleep 0.5; echo said; exit 4'],
    ]);
    expect(outcome.stdout).toContain('said\n');
    expect(outcome.code).toBe(4);
  });
});

describe('files and ports', () => {
  it('cp both ways', async () => {
    const { kubectl, installation } = cluster;
    const [source, back] = [join(installation.directory, 'tree'), join(installation.directory, 'back')];
    await mkdir(join(source, 'sub'), { recursive: true });
    const bytes = Buffer.from(Array.from({ length: 500_000 }, (_, i) => (i * 31) % 251));
    await writeFile(join(source, 'sub/bytes'), bytes);
    await writeFile(join(source, 'text'), 'text\n');
    await kubectl.ok('cp', source, 'shell:/tmp/tree');
    expect(await kubectl.ok('exec', 'shell', '--', 'cat', '/tmp/tree/text')).toBe('text\n');
    await kubectl.ok('cp', 'shell:/tmp/tree', back);
    expect(Buffer.compare(await readFile(join(back, 'sub/bytes')), bytes)).toBe(0);
  });

  it('port-forward', async () => {
    const { kubectl } = cluster;
    await cluster.startPod(
      podManifest('served', {
        containers: [
          script(
            'mkdir /www; head -c 2000000 /dev/zero > /www/zeros; echo here > /www/name; exec httpd -f -p 8080 -h /www',
            {
              readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
            },
          ),
        ],
      }),
    );
    await using forward = kubectl.start('port-forward', 'pod/served', ':8080', ':9');
    const port = (await forward.until(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080/))[1] ?? '';
    const get = (path: string): Promise<ArrayBuffer> =>
      fetch(`http://127.0.0.1:${port}/${path}`).then((r) => r.arrayBuffer());
    expect(Buffer.from(await get('name')).toString()).toBe('here\n');
    const many = await Promise.all(Array.from({ length: 10 }, () => get('zeros')));
    expect(many.map(({ byteLength }) => byteLength)).toEqual(Array(10).fill(2_000_000));
  });
});

/** The pods to which the node's rules lead the requests to a Service with one port. */
async function addressesOfRules(service: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('nft', ['list', 'ruleset']);
  const choice =
    new RegExp(`chain service-\\w+-default/${service}/[^}]*numgen[^}]*}`).exec(stdout)?.[0] ?? '';
  return [...choice.matchAll(/__([\d.]+)\//g)].map(([, address = '']) => address).sort();
}

describe('deployments of real containers', () => {
  it('roll over without a request lost, scale, and roll back', async () => {
    const { kubectl } = cluster;
    await kubectl.ok('apply', '-f', join(ROOT, 'examples/demo/demo.yaml'));
    const rolled = (): Promise<string> => kubectl.ok('rollout', 'status', 'deployment/web', '--timeout=28s');
    for (const name of ['entries', 'clock', 'web'])
      await kubectl.ok('rollout', 'status', `deployment/${name}`, '--timeout=28s');
    const url = 'http://127.0.0.1:30080/healthz';
    await until(() =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    // Until no rule leads to it any more, a pod that ends goes on answering.
    const lifecycle = { preStop: { sleep: { seconds: 1 } } };
    const spec = { template: { spec: { containers: [{ name: 'web', lifecycle }] } } };
    await kubectl.ok('patch', 'deployment', 'web', '-p', JSON.stringify({ spec }));
    await rolled();
    // Those before have no such grace: a rule may lead to one that is gone already.
    const pods = cluster.client.resource(corev1.pods, 'default');
    await until(async () => {
      const { items } = await pods.list({ labelSelector: 'part=web' });
      const addresses = items.map(({ status }) => status?.podIP ?? '').sort();
      return addresses.length === 2 && String(addresses) === String(await addressesOfRules('web'));
    }, 30_000);
    const failures: string[] = [];
    let asked = 0;
    let over = false;
    const asking = (async () => {
      while (!over) {
        asked++;
        await fetch(url, { signal: AbortSignal.timeout(3000), headers: { connection: 'close' } }).then(
          ({ status }) => status === 200 || failures.push(String(status)),
          (error: Error) => failures.push(String((error.cause as Error | undefined) ?? error)),
        );
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await kubectl.ok('set', 'image', 'deployment/web', 'web=guestbook:2');
    await rolled();
    await kubectl.ok('scale', 'deployment/web', '--replicas=4');
    await rolled();
    await kubectl.ok('rollout', 'undo', 'deployment/web');
    await rolled();
    over = true;
    await asking;
    expect(asked).toBeGreaterThan(50);
    expect(failures).toEqual([]);
    const image = '{.spec.template.spec.containers[0].image} {.status.readyReplicas}';
    expect(await kubectl.ok('get', 'deployment', 'web', '-o', `jsonpath=${image}`)).toBe('guestbook:1 4');
    await kubectl.ok('rollout', 'restart', 'deployment/web');
    await rolled();
    await kubectl.ok('delete', '-f', join(ROOT, 'examples/demo/demo.yaml'));
    await until(
      async () => (await promisify(execFile)('nft', ['list', 'ruleset'])).stdout.includes('30080') === false,
    );
  });
});
