import { join } from 'node:path';

/**
 * Where things are. What must outlive a reboot is below `dataDir`; what a reboot ends anyway is below `runDir`, which
 * should be on a tmpfs (`/run/k8ts`):
 *
 *     dataDir/images/                        the image store
 *     dataDir/sandboxes/<id>/sandbox.json    hostname, hosts, resolv.conf
 *     dataDir/containers/<id>/container.json upper/ work/ (overlay) or rootfs/ (copied)
 *     runDir/sandboxes/<id>/{net,ipc,uts,pid} pinned namespaces; shm/
 *     runDir/containers/<id>/                the bundle: config.json, rootfs/, conmon's files
 *     runDir/exits/<id>                      the exit code, written by conmon
 *     runDir/state/                          the OCI runtime's own state
 */
export interface Layout {
  readonly dataDir: string;
  readonly runDir: string;
}

export interface SandboxPaths {
  readonly state: string;
  readonly record: string;
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
  readonly run: string;
  readonly net: string;
  readonly ipc: string;
  readonly uts: string;
  readonly pid: string;
  readonly shm: string;
}

export function sandboxPaths(layout: Layout, id: string): SandboxPaths {
  const state = join(layout.dataDir, 'sandboxes', id);
  const run = join(layout.runDir, 'sandboxes', id);
  return {
    state,
    record: join(state, 'sandbox.json'),
    hostname: join(state, 'hostname'),
    hosts: join(state, 'hosts'),
    resolvConf: join(state, 'resolv.conf'),
    run,
    net: join(run, 'net'),
    ipc: join(run, 'ipc'),
    uts: join(run, 'uts'),
    pid: join(run, 'pid'),
    shm: join(run, 'shm'),
  };
}

export interface ContainerPaths {
  readonly state: string;
  readonly record: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly pidFile: string;
  readonly conmonPidFile: string;
  /** conmon's FIFO for terminal sizes and for opening the log anew. */
  readonly control: string;
  readonly oomMark: string;
  readonly exitFile: string;
}

export function containerPaths(layout: Layout, id: string): ContainerPaths {
  const state = join(layout.dataDir, 'containers', id);
  const bundle = join(layout.runDir, 'containers', id);
  return {
    state,
    record: join(state, 'container.json'),
    bundle,
    rootfs: join(bundle, 'rootfs'),
    pidFile: join(bundle, 'pid'),
    conmonPidFile: join(bundle, 'conmon.pid'),
    control: join(bundle, 'ctl'),
    oomMark: join(bundle, 'oom'),
    exitFile: join(layout.runDir, 'exits', id),
  };
}

export function runtimeStateDirectory(layout: Layout): string {
  return join(layout.runDir, 'state');
}

export function exitsDirectory(layout: Layout): string {
  return join(layout.runDir, 'exits');
}
