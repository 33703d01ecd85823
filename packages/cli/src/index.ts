export type {
  ClusterStatus,
  ComponentCommand,
  ComponentFlag,
  DirectoryOptions,
  ImageActions,
  ImageRow,
  ProgramActions,
  Progress,
  RunningCluster,
  UpOptions,
} from './contract.ts';
export { UserError } from './contract.ts';
export { addToKubeconfig, adminKubeconfig, removeFromKubeconfig } from './kubeconfig-file.ts';
export type { AdminAccess } from './kubeconfig-file.ts';
export { defaultDataDir, runProgram } from './program.ts';
export type { ProgramOptions } from './program.ts';
