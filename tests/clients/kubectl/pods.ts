import { beforeAll, describe, expect, it } from 'vitest';

import { until } from '../../support/waiting.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

const SIMULATE = 'k8ts.io/simulate';

/** What reaches into a pod: logs, exec, attach, port-forward; run, wait, and deletion with a grace. */
export function testPods(session: Session): void {
  describe('pods', () => {
    let kubectl: Kubectl;
    const run = async (name: string, behaviour: object, ...args: readonly string[]): Promise<void> => {
      const annotation = `--annotations=${SIMULATE}=${JSON.stringify(behaviour)}`;
      expect(await kubectl.ok('run', name, '--image=busybox', annotation, ...args)).toBe(
        `pod/${name} created\n`,
      );
    };
    const ready = (name: string): Promise<string> =>
      kubectl.ok('wait', `pod/${name}`, '--for=condition=Ready', '--timeout=20s');
    beforeAll(async () => {
      kubectl = await session.freshNamespace('pods');
      await run('talker', { log: ['one', 'two', 'three'] });
      expect(await ready('talker')).toBe('pod/talker condition met\n');
    });

    it('run to an end', async () => {
      await run('once', { exitAfter: 0.05 }, '--restart=Never');
      await kubectl.ok('wait', 'pod/once', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=20s');
      expect(await kubectl.ok('get', 'pod', 'once')).toMatch(/^once +0\/1 +Completed +0 +\d+s$/m);
      await run('broken', { exitAfter: 0.05, exitCode: 3 }, '--restart=Never');
      await kubectl.ok('wait', 'pod/broken', '--for=jsonpath={.status.phase}=Failed', '--timeout=20s');
      expect(await kubectl.ok('get', 'pod', 'broken')).toMatch(/^broken +0\/1 +Error +0 +\d+s$/m);
      expect(await kubectl.ok('describe', 'pod', 'broken')).toMatch(/^ +Exit Code: +3$/m);
    });

    it('logs', async () => {
      expect(await kubectl.ok('logs', 'talker')).toBe('one\ntwo\nthree\n');
      expect(await kubectl.ok('logs', 'talker', '--tail=1')).toBe('three\n');
      expect(await kubectl.ok('logs', 'talker', '--timestamps', '--limit-bytes=4')).toMatch(/^\d{4}$/);
      expect(await kubectl.ok('logs', '--selector=run=talker', '--prefix')).toMatch(
        /^\[pod\/talker\/talker\] one$/m,
      );
      expect(await kubectl.fails('logs', 'talker', '--container=nobody')).toContain(
        'container nobody is not valid for pod talker',
      );
      expect(await kubectl.fails('logs', 'talker', '--previous')).toContain(
        'previous terminated container "talker" in pod "talker" not found',
      );
    });

    it('logs --follow', async () => {
      await run('ticker', { logEvery: { seconds: 0.05, line: 'tick' } });
      await ready('ticker');
      await using logs = kubectl.start('logs', '--follow', 'ticker');
      await logs.until(/^(tick\n){3}/);
      await kubectl.ok('delete', 'pod', 'ticker', '--now');
      expect((await logs.finish()).code).toBe(0);
    });

    it('exec', async () => {
      expect(await kubectl.ok('exec', 'talker', '--', 'echo', 'hello', 'there')).toBe('hello there\n');
      expect(await kubectl.ok('exec', 'pod/talker', '--', 'hostname')).toBe('talker\n');
      const failed = await kubectl.run(['exec', 'talker', '--', 'false']);
      expect(failed).toMatchObject({ code: 1, stderr: 'command terminated with exit code 1\n' });
      const echoed = await kubectl.run(['exec', '-i', 'talker', '--', 'cat'], { stdin: 'in and out' });
      expect(echoed).toMatchObject({ code: 0, stdout: 'in and out' });
      expect(await kubectl.fails('exec', 'nobody', '--', 'true')).toContain('pods "nobody" not found');
    });

    it('exec of much input and output', async () => {
      const stdin = 'all of this comes back\n'.repeat(40_000);
      const { code, stdout } = await kubectl.run(['exec', '-i', 'talker', '--', 'cat'], { stdin });
      expect(code).toBe(0);
      expect(stdout.length).toBe(stdin.length);
      expect(stdout === stdin).toBe(true);
    });

    it('attach', async () => {
      await run('speaker', { logEvery: { seconds: 0.05, line: 'spoken' } });
      await ready('speaker');
      await using attached = kubectl.start('attach', 'speaker');
      await attached.until(/spoken\n(spoken\n)+/);
      await kubectl.ok('delete', 'pod', 'speaker', '--now');
    });

    it('port-forward', async () => {
      await using forward = kubectl.start('port-forward', 'pod/talker', ':80', '--address=127.0.0.1');
      const [, port] = await forward.until(/Forwarding from 127\.0\.0\.1:(\d+) -> 80/);
      // Nothing listens in a simulated pod; that the connection gets there and is refused there is what can be seen.
      await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
      await forward.until(/error (forwarding|copying)|an error occurred forwarding \d+ -> 80/);
    });

    it('delete with a grace period, at once, and without waiting', async () => {
      await run('slow', { stopAfter: 'never' });
      await ready('slow');
      expect(await kubectl.ok('delete', 'pod', 'slow', '--grace-period=60', '--wait=false')).toMatch(
        /^pod "slow" deleted/,
      );
      expect(await kubectl.ok('get', 'pod', 'slow')).toMatch(/^slow +1\/1 +Terminating +0 +\d+s$/m);
      expect(
        await kubectl.ok('get', 'pod', 'slow', '-o', 'jsonpath={.metadata.deletionGracePeriodSeconds}'),
      ).toBe('60');
      const forced = await kubectl.run(['delete', 'pod', 'slow', '--grace-period=0', '--force']);
      expect(forced.stdout).toMatch(/^pod "slow" force deleted/);
      expect(forced.stderr).toContain('Warning: Immediate deletion does not wait for confirmation');
      expect(await kubectl.fails('get', 'pod', 'slow')).toContain('not found');
    });

    it('wait for deletion', async () => {
      await run('going', {});
      await ready('going');
      await using wait = kubectl.start('wait', 'pod/going', '--for=delete', '--timeout=20s');
      await kubectl.ok('delete', 'pod', 'going');
      expect(await wait.finish()).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^(pod\/going condition met\n)?$/) as string,
      });
      expect(
        await kubectl.fails('wait', 'pod/talker', '--for=condition=Sleepy', '--timeout=100ms'),
      ).toContain('timed out waiting for the condition on pods/talker');
    });

    it('a pod that keeps failing is backed off', async () => {
      await run('crashing', { exitAfter: 0.01, exitCode: 1 });
      await until(async () => /CrashLoopBackOff|Error/.test(await kubectl.ok('get', 'pod', 'crashing')));
      await kubectl.ok('delete', 'pod', 'crashing', '--now');
    });
  });
}
