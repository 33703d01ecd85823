import { describeIsolated } from '@k8ts/cri/testing';

describeIsolated('conformance with containers', 'tests/conformance/containers');
