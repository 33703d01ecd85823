import { describe, expect, it } from 'vitest';

import { testPublishedOpenApi } from './kubectl/custom-resource-open-api.ts';
import { testConvertedResources } from './kubectl/converted-resources.ts';
import { testCustomResources } from './kubectl/custom-resources.ts';
import { testJobs } from './kubectl/jobs.ts';
import { testNodes } from './kubectl/nodes.ts';
import { testPods } from './kubectl/pods.ts';
import { testPriorities } from './kubectl/priorities.ts';
import { testQuestions } from './kubectl/questions.ts';
import { testReading } from './kubectl/reading.ts';
import { testRollouts } from './kubectl/rollouts.ts';
import { useSession } from './kubectl/session.ts';
import { testShortTour } from './kubectl/short-tour.ts';
import { findKubectls } from './kubectl/versions.ts';
import { testUpstreamDemands } from './kubectl/upstream.ts';
import { testWriting } from './kubectl/writing.ts';

const versions = findKubectls();
const oldest = versions[0];
const newest = versions.at(-1);
const NEWEST_MINOR = 36;

describe('kubectl', () => {
  const missing = newest?.minor !== NEWEST_MINOR;
  it.skipIf(missing && process.env['CI'] === undefined)(
    `1.${NEWEST_MINOR} is here${missing ? ' (get it with tools/upstream-binaries.sh)' : ''}`,
    () => {
      expect(newest?.minor).toBe(NEWEST_MINOR);
    },
  );
});

describe.each(versions)('kubectl $version', (version) => {
  const session = useSession(version);
  if (version !== oldest && version !== newest) {
    testShortTour(session);
    return;
  }
  testQuestions(session);
  testReading(session);
  testWriting(session);
  testRollouts(session);
  testPods(session);
  testJobs(session);
  testNodes(session);
  testCustomResources(session);
  testConvertedResources(session);
  if (version !== newest) return;
  testUpstreamDemands(session);
  testPublishedOpenApi(session);
  testPriorities(session);
});
