import { request } from 'node:http';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { Session } from './session.ts';

/** What upstream's own conformance tests ask of kubectl; each is named as there. */
export function testUpstreamDemands(session: Session): void {
  describe('as in upstream conformance', () => {
    it('[sig-cli] Kubectl client Kubectl api-versions should check if v1 is in available api versions [Conformance]', async () => {
      expect((await session.kubectl.ok('api-versions')).split('\n')).toContain('v1');
    });

    it('[sig-cli] Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info [Conformance]', async () => {
      expect(await session.kubectl.ok('cluster-info')).toMatch(/Kubernetes control plane.*is running at/);
    });

    it('[sig-cli] Kubectl client Kubectl version should check is all data is printed [Conformance]', async () => {
      const text = await session.kubectl.ok('version');
      expect(text).toMatch(/^Client Version: /m);
      expect(text).toMatch(/^Server Version: v1\.\d+\.\d+/m);
    });

    it('[sig-cli] Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments [Conformance]', async () => {
      const kubectl = await session.freshNamespace('cli-diff');
      const deployment = (image: string): object => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'httpd-deployment' },
        spec: {
          selector: { matchLabels: { app: 'httpd' } },
          template: {
            metadata: { labels: { app: 'httpd' } },
            spec: { containers: [{ name: 'httpd', image }] },
          },
        },
      });
      await kubectl.feed(deployment('httpd:2.4'), 'apply', '-f', '-');
      const { code, stdout } = await kubectl.run(['diff', '-f', '-'], {
        stdin: JSON.stringify(deployment('busybox:1')),
      });
      expect(code).toBe(1);
      expect(stdout).toMatch(/^- +- image: httpd:2\.4$|^- +image: httpd:2\.4$|^-.*image: httpd:2\.4$/m);
      expect(stdout).toMatch(/^\+.*image: busybox:1$/m);
    });

    it('[sig-cli] Kubectl client Kubectl label should update the label on a resource [Conformance]', async () => {
      const kubectl = await session.freshNamespace('cli-label');
      await kubectl.ok('run', 'pause', '--image=pause');
      await kubectl.ok('label', 'pods', 'pause', 'testing-label=testing-label-value');
      expect(await kubectl.ok('get', 'pod', 'pause', '-L', 'testing-label')).toContain('testing-label-value');
      await kubectl.ok('label', 'pods', 'pause', 'testing-label-');
      expect(await kubectl.ok('get', 'pod', 'pause', '-L', 'testing-label')).not.toContain(
        'testing-label-value',
      );
    });

    it("[sig-cli] Kubectl client Kubectl replace should update a single-container pod's image [Conformance]", async () => {
      const kubectl = await session.freshNamespace('cli-replace');
      await kubectl.ok('run', 'httpd-pod', '--image=httpd:2.4');
      await kubectl.ok('wait', 'pod/httpd-pod', '--for=condition=Ready', '--timeout=20s');
      const json = await kubectl.ok('get', 'pod', 'httpd-pod', '-o', 'json');
      await kubectl.feed(json.replaceAll('"httpd:2.4"', '"busybox:1"'), 'replace', '-f', '-');
      expect(await kubectl.ok('get', 'pod', 'httpd-pod', '-o', 'jsonpath={.spec.containers[0].image}')).toBe(
        'busybox:1',
      );
    });

    it('[sig-cli] Kubectl client Kubectl run pod should create a pod from an image when restart is Never [Conformance]', async () => {
      const kubectl = await session.freshNamespace('cli-run');
      await kubectl.ok(
        'run',
        'httpd-pod',
        '--restart=Never',
        '--pod-running-timeout=2m0s',
        '--image=httpd:2.4',
      );
      expect(
        await kubectl.ok(
          'get',
          'pod',
          'httpd-pod',
          '-o',
          'jsonpath={.spec.containers[0].image} {.spec.restartPolicy}',
        ),
      ).toBe('httpd:2.4 Never');
    });

    it('[sig-cli] Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods [Conformance]', async () => {
      const kubectl = await session.freshNamespace('cli-dry');
      await kubectl.ok('run', 'httpd-pod', '--image=httpd:2.4', '--labels=run=httpd-pod');
      const patch = '{"spec":{"containers":[{"name": "httpd-pod","image": "busybox:1"}]}}';
      const answer = await kubectl.ok('patch', 'pod', 'httpd-pod', '-p', patch, '--dry-run=server');
      expect(answer).toContain('patched');
      expect(await kubectl.ok('get', 'pod', 'httpd-pod', '-o', 'jsonpath={.spec.containers[0].image}')).toBe(
        'httpd:2.4',
      );
    });

    it('[sig-cli] Kubectl client Proxy server should support proxy with --port 0 [Conformance]', async () => {
      await using proxy = session.kubectl.start('proxy', '-p', '0', '--disable-filter');
      const [, port] = await proxy.until(/Starting to serve on 127\.0\.0\.1:(\d+)/);
      const answer = await fetch(`http://127.0.0.1:${port}/api/`);
      expect(await answer.json()).toMatchObject({ kind: 'APIVersions', versions: ['v1'] });
    });

    it('[sig-cli] Kubectl client Proxy server should support --unix-socket=/path [Conformance]', async () => {
      const socketPath = join(session.directory, 'proxy.sock');
      await using proxy = session.kubectl.start('proxy', `--unix-socket=${socketPath}`);
      await proxy.until(/Starting to serve on /);
      const body = await new Promise<string>((resolve, reject) => {
        const sent = request({ socketPath, path: '/api/' }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(text));
        });
        sent.on('error', reject);
        sent.end();
      });
      expect(JSON.parse(body)).toMatchObject({ kind: 'APIVersions' });
    });

    it('[sig-cli] Kubectl logs logs should be able to retrieve and filter logs [Conformance]', async () => {
      const kubectl = await session.freshNamespace('cli-logs');
      const behaviour = JSON.stringify({ logEvery: { seconds: 0.1, line: 'a line of the generator' } });
      await kubectl.ok(
        'run',
        'logs-generator',
        '--image=agnhost',
        `--annotations=k8ts.io/simulate=${behaviour}`,
      );
      await kubectl.ok('wait', 'pod/logs-generator', '--for=condition=Ready', '--timeout=20s');
      await using following = kubectl.start('logs', '--follow', 'logs-generator');
      await following.until(/(a line of the generator\n){3}/);
      expect(await kubectl.ok('logs', 'logs-generator', '--tail=1')).toBe('a line of the generator\n');
      expect((await kubectl.ok('logs', 'logs-generator', '--limit-bytes=1')).length).toBe(1);
      expect(await kubectl.ok('logs', 'logs-generator', '--tail=1', '--timestamps')).toMatch(
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z a line of the generator\n$/,
      );
      const recent = (await kubectl.ok('logs', 'logs-generator', '--since=1s')).split('\n').length;
      const all = (await kubectl.ok('logs', 'logs-generator', '--since=24h')).split('\n').length;
      expect(recent).toBeLessThanOrEqual(all);
      await kubectl.ok('delete', 'pod', 'logs-generator', '--now');
    });
  });
}
