export type * from './contract.ts';
export { runControllerManager } from './controller-manager.ts';
export type { ControllerManagerOptions } from './controller-manager.ts';
export { controllerRegistry } from './controller-registry.ts';
export { controllerPermissions } from './controller-permissions.ts';
export type { ControllerPermissions } from './controller-permissions.ts';
export {
  LOCAL_PATH_PROVISIONER,
  localPathPermissions,
  localPathProvisioner,
} from './persistent-volume/local-path-provisioner.ts';
export type { VolumeDirectories } from './persistent-volume/local-path-provisioner.ts';
