import { describeIsolated } from '@k8ts/cri/testing';

describeIsolated('pod networks, Services and DNS on real interfaces', 'packages/network/src');
