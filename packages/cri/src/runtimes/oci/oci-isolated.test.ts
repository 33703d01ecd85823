import { describeIsolated } from '../../testing/isolated-suite.ts';

describeIsolated('the embedded OCI runtime', 'packages/cri/src');
