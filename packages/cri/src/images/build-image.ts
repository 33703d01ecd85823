import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdtemp, open, readdir, readlink, realpath, rename, rm } from 'node:fs/promises';
import { join, posix, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { pack } from 'tar-stream';
import type { Pack } from 'tar-stream';
import type { TarHeader } from './tar-header.ts';
import { DigestStream, sha256 } from './digest.ts';
import { hostPlatform } from './manifest.ts';
import { normalizeReference } from './reference.ts';

export interface ImageFile {
  /** A file, or a directory with all that is in it, of this machine. */
  readonly source: string;
  /** Where it goes in the image; absolute. */
  readonly path: string;
  /** Permissions of a file instead of its own. */
  readonly mode?: number;
}

export interface BuildImageOptions {
  /** The archive to write. */
  readonly output: string;
  /** Names of the image. */
  readonly tags: readonly string[];
  readonly files: readonly ImageFile[];
  /** Empty directories to make, for example `/tmp` and `/data`. */
  readonly directories?: readonly { readonly path: string; readonly mode?: number }[];
  /** Link by path: `{ '/bin/sh': 'busybox' }`. */
  readonly symlinks?: Readonly<Record<string, string>>;
  /** Small files by path, with their text: `{ '/etc/passwd': 'root:x:0:0::/:/bin/sh\n' }`. */
  readonly texts?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  readonly user?: string;
  readonly stopSignal?: string;
  readonly exposedPorts?: readonly string[];
  /** Adds the shared libraries that ELF files need, as this machine's loader finds them. Default true. */
  readonly withLibraries?: boolean;
  /** Directories where libraries are looked for first, for files of an unpacked package. */
  readonly libraryPath?: readonly string[];
}

export interface BuiltImage {
  /** `sha256:…` of the configuration: the image's id. */
  readonly id: string;
  /** Bytes of the archive. */
  readonly size: number;
}

const execute = promisify(execFile);
const EPOCH = new Date(0);
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Makes an image of one layer from files of this machine, as an archive that is both an OCI layout and a docker archive.
 * The same files give the same image id. Owners are root; `ldd` runs the loader of each ELF file, so the files must be trusted.
 */
export async function buildImageArchive(options: BuildImageOptions): Promise<BuiltImage> {
  const tags = options.tags.map(normalizeReference);
  const work = await mkdtemp(`${resolve(options.output)}.build-`);
  try {
    const entries = await collectEntries(options);
    const layerPath = join(work, 'layer.tar');
    const layer = await writeLayer(entries, layerPath);
    const config = Buffer.from(JSON.stringify(imageConfig(options, layer.digest)));
    const archive = join(work, 'image.tar');
    await writeArchive(archive, { path: layerPath, ...layer }, config, tags);
    await rename(archive, options.output);
    return { id: sha256(config), size: (await lstat(options.output)).size };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

interface Entry {
  readonly header: TarHeader;
  readonly source?: string;
  readonly content?: Buffer;
}

/** By path in the image; parents are made as they are needed. */
async function collectEntries(options: BuildImageOptions): Promise<readonly Entry[]> {
  const entries = new Map<string, Entry>();
  const add = (path: string, entry: Omit<TarHeader, 'name'>, from: Omit<Entry, 'header'> = {}): void => {
    const name = posix.normalize(`/${path}`).slice(1);
    if (name === '' || name === '.') return;
    const parent = posix.dirname(name);
    if (parent !== '.' && !entries.has(parent)) add(parent, { type: 'directory', mode: 0o755 });
    const previous = entries.get(name)?.header.type;
    if (previous === 'directory' && entry.type !== 'directory')
      throw new Error(`/${name} is a directory already`);
    entries.set(name, { header: { ...entry, name, uid: 0, gid: 0, mtime: EPOCH }, ...from });
  };
  for (const { path, mode = 0o755 } of options.directories ?? []) add(path, { type: 'directory', mode });
  const programs: string[] = [];
  const addFile = async (source: string, path: string, mode?: number): Promise<void> => {
    const info = await lstat(source);
    if (info.isDirectory()) {
      add(path, { type: 'directory', mode: info.mode & 0o7777 });
      for (const name of (await readdir(source)).sort())
        await addFile(join(source, name), posix.join(path, name));
    } else if (info.isSymbolicLink()) {
      add(path, { type: 'symlink', linkname: await readlink(source) });
    } else if (info.isFile()) {
      add(path, { type: 'file', mode: mode ?? info.mode & 0o7777, size: info.size }, { source });
      if (options.withLibraries !== false && (await isElf(source))) programs.push(source);
    } else {
      throw new Error(`${source} is neither a file, a directory nor a link`);
    }
  };
  for (const { source, path, mode } of options.files) {
    // What is named itself is wanted itself; links are kept only inside directories.
    await addFile(await realpath(source), path, mode);
  }
  for (const library of await libraryClosure(programs, options.libraryPath ?? [])) {
    if (entries.has(library.path.slice(1))) continue;
    const info = await lstat(library.source);
    add(library.path, { type: 'file', mode: 0o755, size: info.size }, { source: library.source });
  }
  for (const [path, linkname] of Object.entries(options.symlinks ?? {}))
    add(path, { type: 'symlink', linkname });
  for (const [path, text] of Object.entries(options.texts ?? {})) {
    const content = Buffer.from(text);
    add(path, { type: 'file', mode: 0o644, size: content.length }, { content });
  }
  // Parents before what is in them, and the same order however the files were given.
  return [...entries.values()].sort((a, b) => (a.header.name < b.header.name ? -1 : 1));
}

async function isElf(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.equals(Buffer.from('\x7fELF', 'latin1'));
  } finally {
    await file.close();
  }
}

/**
 * Shared libraries and the loader, as `ldd` finds them:
 *
 *     libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)
 *     /lib64/ld-linux-x86-64.so.2 (0x…)
 */
async function libraryClosure(
  programs: readonly string[],
  libraryPath: readonly string[],
): Promise<readonly { readonly path: string; readonly source: string }[]> {
  const libraries = new Map<string, string>();
  for (const program of programs) {
    let output: string;
    try {
      const env = {
        PATH: process.env['PATH'] ?? DEFAULT_PATH,
        LC_ALL: 'C',
        LD_LIBRARY_PATH: libraryPath.join(':'),
      };
      output = (await execute('ldd', [program], { env })).stdout;
    } catch (error) {
      const {
        stdout = '',
        stderr = '',
        code,
      } = error as { stdout?: string; stderr?: string; code?: unknown };
      if (/not a dynamic executable|statically linked/.test(stdout + stderr)) continue;
      if (code === 'ENOENT')
        throw new Error('ldd is needed to find shared libraries, and is not installed', { cause: error });
      throw new Error(`ldd ${program}: ${stderr.trim() || stdout.trim()}`, { cause: error });
    }
    for (const line of output.split('\n')) {
      const missing = /^\s*(\S+) => not found/.exec(line);
      if (missing) throw new Error(`${program} needs ${missing[1]}, which is not on this machine`);
      const found = /(?:=>\s+)?(\/\S+) \(0x[0-9a-f]+\)\s*$/.exec(line)?.[1];
      if (found === undefined || libraries.has(found)) continue;
      const place = libraryPath.some((directory) => found.startsWith(`${resolve(directory)}/`))
        ? posix.join('/usr/lib', posix.basename(found))
        : found;
      libraries.set(place, await realpath(found));
    }
  }
  return [...libraries].map(([path, source]) => ({ path, source }));
}

async function writeLayer(
  entries: readonly Entry[],
  path: string,
): Promise<{ readonly digest: string; readonly size: number }> {
  const output = pack();
  const digest = new DigestStream('the layer', Number.MAX_SAFE_INTEGER);
  const writing = pipeline(output, digest, createWriteStream(path));
  const feeding = (async () => {
    for (const entry of entries) await writeEntry(output, entry);
    output.finalize();
  })().catch((error: unknown) => output.destroy(error as Error));
  await writing;
  await feeding;
  return { digest: digest.digest(), size: digest.size };
}

async function writeEntry(output: Pack, entry: Entry): Promise<void> {
  const header: TarHeader = { ...entry.header, mode: 0o100000 | (entry.header.mode ?? 0o777) };
  if (entry.source !== undefined) await pipeline(createReadStream(entry.source), output.entry(header));
  else if (entry.content !== undefined) output.entry(header, entry.content);
  else output.entry(header);
}

function imageConfig(options: BuildImageOptions, diffId: string): Record<string, unknown> {
  const environment = { PATH: DEFAULT_PATH, ...options.env };
  return {
    created: EPOCH.toISOString(),
    ...hostPlatform(),
    config: {
      ...(options.user !== undefined && { User: options.user }),
      Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
      ...(options.entrypoint && { Entrypoint: options.entrypoint }),
      ...(options.cmd && { Cmd: options.cmd }),
      WorkingDir: options.workingDir ?? '/',
      ...(options.stopSignal !== undefined && { StopSignal: options.stopSignal }),
      ...(options.exposedPorts && {
        ExposedPorts: Object.fromEntries(options.exposedPorts.map((port) => [port, {}])),
      }),
    },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: EPOCH.toISOString(), created_by: 'k8ts image build' }],
  };
}

async function writeArchive(
  path: string,
  layer: { readonly path: string; readonly digest: string; readonly size: number },
  config: Buffer,
  tags: readonly string[],
): Promise<void> {
  const descriptor = (mediaType: string, digest: string, size: number): Record<string, unknown> => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest,
    size,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: descriptor('config.v1+json', sha256(config), config.length),
      layers: [descriptor('layer.v1.tar', layer.digest, layer.size)],
    }),
  );
  const described = descriptor('manifest.v1+json', sha256(manifest), manifest.length);
  const index = {
    schemaVersion: 2,
    manifests:
      tags.length === 0
        ? [described]
        : tags.map((tag) => ({ ...described, annotations: { 'io.containerd.image.name': tag } })),
  };
  const blob = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const docker = [{ Config: blob(sha256(config)), RepoTags: tags, Layers: [blob(layer.digest)] }];
  const texts: readonly (readonly [string, Buffer])[] = [
    ['oci-layout', Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' }))],
    ['index.json', Buffer.from(JSON.stringify(index))],
    ['manifest.json', Buffer.from(JSON.stringify(docker))],
    [blob(sha256(manifest)), manifest],
    [blob(sha256(config)), config],
  ];
  const entry = (name: string, size: number): TarHeader => ({
    name,
    type: 'file',
    mode: 0o644,
    size,
    mtime: EPOCH,
  });
  const output = pack();
  const writing = pipeline(output, createWriteStream(path));
  const feeding = (async () => {
    for (const [name, content] of texts)
      await writeEntry(output, { header: entry(name, content.length), content });
    await writeEntry(output, { header: entry(blob(layer.digest), layer.size), source: layer.path });
    output.finalize();
  })().catch((error: unknown) => output.destroy(error as Error));
  await writing;
  await feeding;
}
