import type { TarHeader } from './tar-header.ts';

export interface LayerPlace {
  /** Relative, normal, through no symbolic link of this layer. */
  readonly path: string;
  readonly whiteout?: 'entry' | 'opaque';
}

const WHITEOUT_PREFIX = '.wh.';
const OPAQUE_MARK = '.wh..wh..opq';
const PATH_LIMIT = 4096;
const LINK_HOPS = 40;
const OPAQUE: Readonly<Record<string, string>> = { 'SCHILY.xattr.trusted.overlay.opaque': 'y' };

/**
 * Where the entries of one layer belong. Paths come from strangers: `..` is taken off at the root, and a path through a
 * symbolic link of the same layer is followed as if the layer were the root, so `a -> /etc` and then `a/passwd` gives
 * `etc/passwd` inside the layer.
 */
export class LayerPaths {
  /** Paths of the opaque directories so far. */
  readonly opaque: string[] = [];
  readonly #symlinks = new Map<string, string>();
  readonly #files = new Set<string>();
  readonly #directories = new Map<string, TarHeader>();

  /** Undefined for the root itself. Throws for a path that cannot be placed. */
  place(name: string): LayerPlace | undefined {
    const parts = splitPath(name);
    const last = parts.pop();
    if (last === undefined) return undefined;
    const parent = this.#resolve(parts);
    const inParent = (base: string): string => (parent === '' ? base : `${parent}/${base}`);
    if (last === OPAQUE_MARK) {
      if (parent === '') throw new Error('the root of a layer cannot be opaque');
      return { path: parent, whiteout: 'opaque' };
    }
    if (last.startsWith(WHITEOUT_PREFIX)) {
      const target = last.slice(WHITEOUT_PREFIX.length);
      // `.wh..wh.` starts the marks of aufs, which mean nothing to others.
      if (target === '' || target === '.' || target === '..' || target.startsWith(WHITEOUT_PREFIX)) {
        throw new Error(`the layer has a whiteout of an impossible name: ${JSON.stringify(name)}`);
      }
      return { path: inParent(target), whiteout: 'entry' };
    }
    return { path: inParent(last) };
  }

  add(path: string, type: 'file' | 'symlink' | 'other', target = ''): void {
    if (this.#directories.has(path)) throw twoKinds(path);
    this.#symlinks.delete(path);
    this.#files.delete(path);
    if (type === 'symlink') this.#symlinks.set(path, target);
    else if (type === 'file') this.#files.add(path);
  }

  /** Remembers a directory's attributes, in case its opaque mark comes later. */
  addDirectory(path: string, header: TarHeader): TarHeader {
    if (this.#symlinks.has(path) || this.#files.has(path)) throw twoKinds(path);
    const known = this.#directories.get(path);
    const merged = known?.pax === undefined ? header : { ...header, pax: { ...known.pax, ...header.pax } };
    this.#directories.set(path, merged);
    return merged;
  }

  /** The header that makes a directory opaque: it hides what lower layers have in it. */
  opaqueDirectory(path: string): TarHeader {
    this.opaque.push(path);
    const known = this.#directories.get(path) ?? {
      name: path,
      type: 'directory',
      mode: 0o755,
      mtime: new Date(0),
    };
    return this.addDirectory(path, { ...known, pax: { ...known.pax, ...OPAQUE } });
  }

  /** The target of a hard link: a file of this layer. */
  linkTarget(name: string, target: string): string {
    const place = this.place(target);
    if (place === undefined || place.whiteout !== undefined)
      throw new Error(`the layer has an impossible hard link`);
    if (!this.#files.has(place.path) && !this.#symlinks.has(place.path)) {
      throw new Error(
        `the layer has a hard link ${JSON.stringify(name)} to ${JSON.stringify(target)}, which is no file of it`,
      );
    }
    const symlink = this.#symlinks.get(place.path);
    this.add(name, symlink === undefined ? 'file' : 'symlink', symlink);
    return place.path;
  }

  #resolve(parts: readonly string[]): string {
    const pending = [...parts];
    let resolved = '';
    let hops = 0;
    for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
      if (part === '..') {
        resolved = resolved.slice(0, Math.max(0, resolved.lastIndexOf('/')));
        continue;
      }
      const next = resolved === '' ? part : `${resolved}/${part}`;
      const target = this.#symlinks.get(next);
      if (target === undefined) {
        resolved = next;
        continue;
      }
      if (++hops > LINK_HOPS)
        throw new Error(`the layer has too many levels of symbolic links: ${parts.join('/')}`);
      if (target.startsWith('/')) resolved = '';
      // `..` in a link's target counts from where the link is, so it is kept, not taken off here.
      pending.unshift(...target.split('/').filter((piece) => piece !== '' && piece !== '.'));
    }
    if (this.#files.has(resolved))
      throw new Error(`the layer has a path below a file: ${JSON.stringify(resolved)}`);
    return resolved;
  }
}

function twoKinds(path: string): Error {
  return new Error(`the layer has ${JSON.stringify(path)} as a directory and as a file`);
}

/** The parts of an entry's name; `..` never leads above the root. */
function splitPath(name: string): string[] {
  if (name.length > PATH_LIMIT) throw new Error('the layer has a path that is too long');
  if (name.includes('\0')) throw new Error('the layer has a path with a zero byte');
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts;
}
