import { describeIsolated } from '@k8ts/cri/testing';

describeIsolated('end to end', 'tests/e2e');
