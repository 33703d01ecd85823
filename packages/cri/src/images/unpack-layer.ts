import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { extract, pack } from 'tar-stream';
import type { Header, Pack } from 'tar-stream';
import type { TarHeader } from './tar-header.ts';
import type { Logger } from '@k8ts/base';
import { errorMessage } from '@k8ts/base';
import { decompressed } from './decompress.ts';
import { DigestStream } from './digest.ts';
import { LayerPaths } from './layer-paths.ts';
import { TarGuard } from './tar-guard.ts';

export interface LayerLimits {
  /** Bytes of the uncompressed layer. */
  readonly bytes: number;
  readonly entries: number;
}

export interface UnpackedLayer {
  /** Digest of the uncompressed tar: the layer's diffID. */
  readonly diffId: string;
  /** Bytes of the uncompressed tar. */
  readonly size: number;
  /** Directories that hide what lower layers have in them. */
  readonly opaque: readonly string[];
}

/**
 * Unpacks a layer (tar, optionally compressed) into a new directory, in the form an overlay's lower directory has:
 * whiteouts become character devices 0:0, opaque directories the attribute `trusted.overlay.opaque`.
 *
 * Node can set neither attributes nor make devices, so the system's GNU tar writes the files. It never sees the archive
 * as it came: each entry is read, its path resolved inside the layer (`LayerPaths`), and written anew.
 */
export async function unpackLayer(
  input: Readable,
  directory: string,
  limits: LayerLimits,
  logger: Logger,
): Promise<UnpackedLayer> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const writer = spawnTar(directory);
  try {
    const uncompressed = await decompressed(input);
    const digest = new DigestStream('the layer', limits.bytes);
    const paths = new LayerPaths();
    const output = pack();
    // Both run until the end of the archive; the first failure ends the other.
    const writing = pipeline(output, writer.stdin).catch((error: unknown) => {
      output.destroy(error as Error);
      throw error;
    });
    const reading = rewriteEntries(uncompressed, digest, output, paths, limits, logger).catch(
      (error: unknown) => {
        output.destroy(error as Error);
        throw error;
      },
    );
    const [read, written] = await Promise.allSettled([reading, writing]);
    const result = await writer.result;
    // When tar itself failed, the broken pipe is only a consequence.
    if (result !== undefined && (read.status === 'rejected' || written.status === 'rejected')) {
      const reason =
        read.status === 'rejected' && !isBrokenPipe(read.reason) ? errorMessage(read.reason) : result;
      throw new Error(`unpacking the layer: ${reason}`, {
        cause: read.status === 'rejected' ? read.reason : undefined,
      });
    }
    if (read.status === 'rejected') throw asError(read.reason);
    if (written.status === 'rejected') throw asError(written.reason);
    if (result !== undefined) throw new Error(`unpacking the layer: ${result}`);
    return { diffId: digest.digest(), size: digest.size, opaque: paths.opaque };
  } finally {
    input.destroy();
    writer.kill();
    await writer.result;
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function isBrokenPipe(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED';
}

async function rewriteEntries(
  input: Readable,
  digest: DigestStream,
  output: Pack,
  paths: LayerPaths,
  limits: LayerLimits,
  logger: Logger,
): Promise<void> {
  const entries = extract();
  const feeding = pipeline(input, digest, new TarGuard(limits.entries), entries);
  feeding.catch((error: unknown) => entries.destroy(error as Error));
  try {
    for await (const entry of entries) {
      const headers = layerEntry(entry.header, paths, logger);
      for (const header of headers) {
        if (header.type !== 'file') output.entry(header);
        else if (header.size === 0) output.entry(header, Buffer.alloc(0));
        else await pipeline(entry, output.entry(header));
      }
      entry.resume();
    }
  } catch (error) {
    entries.destroy();
    // The cause is where the input failed; the reader only says that it was cut off.
    await feeding.catch((cause: unknown) => {
      if (!isBrokenPipe(cause)) throw cause;
    });
    throw error;
  }
  await feeding;
  output.finalize();
}

const KEPT_TYPES = new Set([
  'file',
  'contiguous-file',
  'link',
  'symlink',
  'character-device',
  'block-device',
  'directory',
  'fifo',
]);

/** The entries to write for one that was read: none, or one (an opaque mark becomes its directory). */
function layerEntry(header: Header, paths: LayerPaths, logger: Logger): TarHeader[] {
  const type = header.type ?? 'file';
  if (!KEPT_TYPES.has(type)) return []; // pax-global-header and the like carry nothing to write
  const place = paths.place(header.name);
  if (place === undefined) return []; // the root itself
  const attributes = paxRecords(header, logger);
  const common = {
    mode: TYPE_BITS | (header.mode ?? 0o644),
    uid: header.uid ?? 0,
    gid: header.gid ?? 0,
    mtime: new Date(Math.min(Math.max(header.mtime?.getTime() ?? 0, 0), LATEST)),
    ...(attributes !== undefined && { pax: attributes }),
  };
  if (place.whiteout === 'opaque') return [paths.opaqueDirectory(place.path)];
  if (place.whiteout === 'entry') {
    paths.add(place.path, 'other');
    return [
      { name: place.path, type: 'character-device', mode: TYPE_BITS, mtime: EPOCH, devmajor: 0, devminor: 0 },
    ];
  }
  const name = place.path;
  switch (type) {
    case 'directory':
      return [paths.addDirectory(name, { ...common, name, type })];
    case 'symlink':
      paths.add(name, 'symlink', header.linkname ?? '');
      return [{ ...common, name, type, linkname: header.linkname ?? '' }];
    case 'link':
      return [{ ...common, name, type, linkname: paths.linkTarget(name, header.linkname ?? '') }];
    case 'character-device':
    case 'block-device':
      paths.add(name, 'other');
      return [{ ...common, name, type, devmajor: header.devmajor ?? 0, devminor: header.devminor ?? 0 }];
    case 'fifo':
      paths.add(name, 'other');
      return [{ ...common, name, type }];
    default:
      paths.add(name, 'file');
      return [{ ...common, name, type: 'file', size: header.size ?? 0 }];
  }
}

const ATTRIBUTE = 'SCHILY.xattr.';
const EPOCH = new Date(0);
/** A header's time is a signed 32 bit number of seconds to the packer. */
const LATEST = 0x7fffffff * 1000;
/** The packer takes mode 0 for "not given" and makes it 0644; bits above the permissions keep it from that. */
const TYPE_BITS = 0o100000;
/** What six octal digits of a tar header hold. Larger owners need a pax record. */
const HEADER_ID_LIMIT = 0o777777;

/**
 * Owners too large for the header, and of the extended attributes `user.*` and file capabilities; `trusted.*` would let a
 * layer speak to the overlay itself.
 */
function paxRecords(header: Header, logger: Logger): Record<string, string> | undefined {
  const records = (header.pax ?? {}) as Readonly<Record<string, string>>;
  let kept: Record<string, string> | undefined;
  for (const key of ['uid', 'gid'] as const) {
    const id = Number(records[key] ?? header[key]);
    if (id > HEADER_ID_LIMIT) (kept ??= {})[key] = String(id);
  }
  for (const [key, value] of Object.entries(records)) {
    if (!key.startsWith(ATTRIBUTE)) continue;
    const name = key.slice(ATTRIBUTE.length);
    if (name !== 'security.capability' && !name.startsWith('user.')) continue;
    if (value.includes('\uFFFD')) {
      logger.warn('extended attribute left out: its value is binary', { file: header.name, attribute: name });
      continue;
    }
    (kept ??= {})[key] = value;
  }
  return kept;
}

interface TarProcess {
  readonly stdin: NodeJS.WritableStream;
  /** What went wrong, or undefined. */
  readonly result: Promise<string | undefined>;
  kill(): void;
}

function spawnTar(directory: string): TarProcess {
  const child = spawn(
    'tar',
    [
      '--extract',
      '--file=-',
      `--directory=${directory}`,
      '--preserve-permissions',
      '--same-owner',
      '--numeric-owner',
      '--xattrs',
      '--xattrs-include=*',
      '--delay-directory-restore',
    ],
    {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    },
  );
  let errors = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    if (errors.length < 4096) errors += text;
  });
  const result = new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(`tar cannot be run: ${error.message}`));
    child.on('close', (code, signal) => {
      resolve(code === 0 ? undefined : `tar: ${errors.trim().split('\n')[0] || (signal ?? `code ${code}`)}`);
    });
  });
  return { stdin: child.stdin, result, kill: () => void child.kill('SIGKILL') };
}
