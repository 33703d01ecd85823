import { describeIsolated } from '@k8ts/cri/testing';

describeIsolated('the kubelet with the embedded OCI runtime', 'packages/kubelet/src');
