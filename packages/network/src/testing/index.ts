export { NetworkLab } from './network-lab.ts';
export type { LabHost, LabPod, LabProtocol } from './network-lab.ts';
export { testService, testSlice } from './service-objects.ts';
