import { describeIsolated } from '@k8ts/cri/testing';
import { beforeAll } from 'vitest';

import { buildExampleImages } from '../support/example-images.ts';

beforeAll(buildExampleImages);

describeIsolated('end to end', 'tests/e2e');
