import { describeIsolated } from '@k8ts/cri/testing';

describeIsolated('the whole program, killed', 'tests/crash');
