import { beforeAll, describe, expect, it } from 'vitest';

import { until } from '../../support/waiting.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

/** Jobs and cron jobs, from their creation to the end of their pods. */
export function testJobs(session: Session): void {
  describe('jobs', () => {
    let kubectl: Kubectl;
    beforeAll(async () => {
      kubectl = await session.freshNamespace('jobs');
    });
    const jobOf = (behaviour: object): object => ({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'work' },
      spec: {
        completions: 2,
        backoffLimit: 0,
        template: {
          metadata: { annotations: { 'k8ts.io/simulate': JSON.stringify(behaviour) } },
          spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'nginx' }] },
        },
      },
    });

    it('run to their end, and are deleted with their pods', async () => {
      expect(await kubectl.feed(jobOf({ exitAfter: 0.1 }), 'create', '-f', '-')).toBe(
        'job.batch/work created\n',
      );
      await kubectl.ok('wait', 'job/work', '--for=condition=Complete', '--timeout=20s');
      expect(await kubectl.ok('get', 'job', 'work')).toMatch(/^work +(Complete +)?2\/2 /m);
      expect(await kubectl.ok('describe', 'job', 'work')).toMatch(/ SuccessfulCreate [^]* Completed /);
      await kubectl.ok('delete', 'job', 'work');
      await until(async () => (await kubectl.ok('get', 'pods', '-o', 'name')) === '');
    });

    it('fail', async () => {
      await kubectl.feed(jobOf({ exitAfter: 0.1, exitCode: 3 }), 'create', '-f', '-');
      await kubectl.ok('wait', 'job/work', '--for=condition=Failed', '--timeout=20s');
      expect(await kubectl.ok('describe', 'job', 'work')).toContain(
        'Job has reached the specified backoff limit',
      );
      await kubectl.ok('delete', 'job', 'work');
    });

    it('come from cron jobs', async () => {
      await kubectl.ok('create', 'cronjob', 'nightly', '--image=nginx', '--schedule=0 3 * * *');
      expect(await kubectl.ok('get', 'cronjob', 'nightly')).toMatch(/^nightly +0 3 \* \* \* /m);
      expect(await kubectl.ok('create', 'job', 'now', '--from=cronjob/nightly')).toBe(
        'job.batch/now created\n',
      );
      await kubectl.ok('wait', 'pod', '-l', 'job-name=now', '--for=condition=Ready', '--timeout=20s');
      // Nobody asked for it at its time, so it is not counted.
      expect(await kubectl.ok('get', 'cronjob', 'nightly')).toMatch(/ False +0 /);
      await kubectl.ok('delete', 'cronjob', 'nightly');
      await until(async () => (await kubectl.ok('get', 'jobs,pods', '-o', 'name')) === '');
    });
  });
}
