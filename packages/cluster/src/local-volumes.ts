import { chmod, mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { rbacv1, storagev1 } from '@k8ts/api';
import { isAlreadyExists } from '@k8ts/apimachinery';
import { errorMessage, Scope } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Client } from '@k8ts/client';
import {
  LOCAL_PATH_PROVISIONER,
  localPathPermissions,
  localPathProvisioner,
  runControllerManager,
} from '@k8ts/controllers';
import type { VolumeDirectories } from '@k8ts/controllers';
import { apply } from './addons.ts';

const NAMESPACE = 'kube-system';
const ACCOUNT = 'local-path-provisioner';
const ROLE = 'k8ts:local-path-provisioner';
const RBAC = 'rbac.authorization.k8s.io';

export interface LocalVolumesOptions {
  readonly directories: VolumeDirectories;
  /** A client in the name of whoever is given. */
  readonly clientFor: (user: string, ...groups: string[]) => Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The default StorageClass, and who makes its volumes on the nodes of this process. */
export async function startLocalVolumes(options: LocalVolumesOptions): Promise<AsyncDisposable> {
  const { directories, clientFor, clock, random, logger, metrics } = options;
  await applyLocalStorage(clientFor('kubernetes-admin', 'system:masters'));
  const scope = new Scope();
  scope.run(
    runControllerManager(
      {
        client: clientFor(
          `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`,
          'system:serviceaccounts',
          `system:serviceaccounts:${NAMESPACE}`,
        ),
        clock,
        random,
        logger,
        metrics,
        controllers: [localPathProvisioner(directories)],
      },
      scope.signal,
    ),
    (error) => logger.error('the provisioner of local volumes ended', { error: errorMessage(error) }),
  );
  return scope;
}

async function applyLocalStorage(client: Client): Promise<void> {
  await apply(client, rbacv1.clusterRoles, { metadata: { name: ROLE }, rules: [...localPathPermissions] });
  await apply(client, rbacv1.clusterRoleBindings, {
    metadata: { name: ROLE },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: ROLE },
    subjects: [{ kind: 'ServiceAccount', namespace: NAMESPACE, name: ACCOUNT }],
  });
  try {
    // Not applied: which class is the default one is the user's to change.
    await client.resource(storagev1.storageClasses).create({
      metadata: {
        name: 'standard',
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
      provisioner: LOCAL_PATH_PROVISIONER,
      reclaimPolicy: 'Delete',
      volumeBindingMode: 'WaitForFirstConsumer',
      allowVolumeExpansion: true,
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** `pvc-` and the claim's uid. */
const VOLUME_NAME = /^pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function checkedPath(root: string, name: string): string {
  if (!VOLUME_NAME.test(name)) throw new Error(`"${name}" is no name of a provisioned volume`);
  return join(root, name);
}

/** The volumes of one node, below `root`. */
export function directoriesBelow(root: string, nodeName: string): VolumeDirectories {
  const path = (name: string): string => checkedPath(root, name);
  return {
    serves: (node) => node === nodeName,
    path,
    async make(name) {
      const directory = path(name);
      await mkdir(directory, { recursive: true });
      await chmod(directory, 0o777); // whatever user a container runs as
    },
    remove: (name) => rm(path(name), { recursive: true, force: true }),
    async sweep(isKnown) {
      const names = await readdir(root).catch(ignoring('ENOENT'));
      for (const name of names ?? [])
        if (VOLUME_NAME.test(name) && !isKnown(name))
          await rmdir(path(name)).catch(ignoring('ENOENT', 'ENOTEMPTY', 'ENOTDIR'));
    },
  };
}

/** The volumes of nodes that are simulated: nothing is on a disk. */
export function simulatedDirectories(serves: (node: string) => boolean): VolumeDirectories {
  return {
    serves,
    path: (name) => checkedPath('/var/lib/k8ts/volumes', name),
    make: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    sweep: () => Promise.resolve(),
  };
}

function ignoring(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return undefined;
  };
}
