import type { KubeObject, ResourceType } from '@k8ts/api';
import {
  expired,
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
} from '@k8ts/apimachinery';
import type { FieldSelector, LabelSelector } from '@k8ts/apimachinery';

import type { WatchEvent } from '../transport.ts';

export type StoredObject = KubeObject & Readonly<Record<string, unknown>>;

export interface Selection {
  readonly namespace: string | undefined;
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
}

interface Change {
  readonly version: number;
  readonly resource: string;
  /** Undefined: it did not exist before. */
  readonly before: StoredObject | undefined;
  /** Undefined: it is gone; `last` is its final state then. */
  readonly after: StoredObject | undefined;
  readonly last: StoredObject;
}

export interface WatchStart {
  readonly resource: string;
  readonly type: ResourceType<KubeObject>;
  readonly selection: Selection;
  /** The version after which to begin; undefined: begin with everything there is. */
  readonly from: number | undefined;
  readonly bookmarks: boolean;
  /** Mark the end of what there is with a bookmark. */
  readonly initialEventsEnd: boolean;
  readonly signal: AbortSignal | undefined;
}

interface Watcher {
  readonly start: WatchStart;
  readonly pending: WatchEvent<StoredObject>[];
  wake: (() => void) | undefined;
  ended: boolean;
}

/** The objects behind a FakeApi, their history, and who watches them. What goes in is frozen at every depth. */
export class FakeStore {
  readonly #objects = new Map<string, Map<string, StoredObject>>();
  readonly #watchers = new Set<Watcher>();
  #history: Change[] = [];
  #version = 1;
  /** Changes up to this version are forgotten. */
  #compacted = 0;
  #paused = false;

  get version(): number {
    return this.#version;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  get(resource: string, key: string): StoredObject | undefined {
    return this.#objects.get(resource)?.get(key);
  }

  /** In the order of their keys. */
  list(resource: string, selection: Selection): StoredObject[] {
    const objects = this.#objects.get(resource);
    if (objects === undefined) return [];
    return [...objects.keys()]
      .sort()
      .map((key) => objects.get(key) as StoredObject)
      .filter((object) => selects(selection, object));
  }

  /** Stores under a new version and returns what was stored. */
  put(resource: string, key: string, object: StoredObject): StoredObject {
    const before = this.get(resource, key);
    const version = ++this.#version;
    const after = deepFreeze({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(version) },
    });
    let objects = this.#objects.get(resource);
    if (objects === undefined) this.#objects.set(resource, (objects = new Map<string, StoredObject>()));
    objects.set(key, after);
    this.#record({ version, resource, before, after, last: after });
    return after;
  }

  delete(resource: string, key: string): void {
    const before = this.get(resource, key);
    if (before === undefined) return;
    this.#objects.get(resource)?.delete(key);
    const version = ++this.#version;
    const last = deepFreeze({
      ...before,
      metadata: { ...before.metadata, resourceVersion: String(version) },
    });
    this.#record({ version, resource, before, after: undefined, last });
  }

  /** Forgets the history, so that a watch from an older version is refused with 410. */
  compact(): void {
    this.#history = [];
    this.#compacted = this.#version;
  }

  /** Ends all watches, as a server that is restarted. */
  endWatches(): void {
    for (const watcher of this.#watchers) {
      watcher.ended = true;
      watcher.wake?.();
    }
  }

  /** Loses the events that have not been read yet, as a connection that breaks. */
  dropPending(): void {
    for (const watcher of this.#watchers) watcher.pending.length = 0;
  }

  /** Holds events back, so that caches are behind; later ones are delivered in order. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const watcher of this.#watchers) watcher.wake?.();
  }

  watch(start: WatchStart): AsyncIterable<readonly WatchEvent<StoredObject>[]> {
    if (start.from !== undefined && start.from < this.#compacted)
      throw expired(`too old resource version: ${start.from} (${this.#compacted})`);
    const watcher: Watcher = { start, pending: [], wake: undefined, ended: false };
    if (start.from === undefined) {
      for (const object of this.list(start.resource, start.selection))
        watcher.pending.push({ type: 'ADDED', object });
      if (start.initialEventsEnd) watcher.pending.push(this.#bookmark(start, true));
    } else {
      for (const change of this.#history) if (change.version > start.from) offer(watcher, change);
    }
    this.#watchers.add(watcher);
    return this.#iterate(watcher);
  }

  /** Sends a bookmark to every watch that asked for them. */
  bookmark(): void {
    for (const watcher of this.#watchers) {
      if (!watcher.start.bookmarks) continue;
      watcher.pending.push(this.#bookmark(watcher.start, false));
      watcher.wake?.();
    }
  }

  #bookmark({ type }: WatchStart, initialEventsEnd: boolean): WatchEvent<StoredObject> {
    return {
      type: 'BOOKMARK',
      object: deepFreeze({
        apiVersion: type.group === '' ? type.version : `${type.group}/${type.version}`,
        kind: type.kind,
        metadata: {
          name: '',
          resourceVersion: String(this.#version),
          ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
        },
      }),
    };
  }

  #record(change: Change): void {
    this.#history.push(change);
    for (const watcher of this.#watchers) {
      offer(watcher, change);
      if (watcher.pending.length > 0) watcher.wake?.();
    }
  }

  async *#iterate(watcher: Watcher): AsyncGenerator<readonly WatchEvent<StoredObject>[], void, undefined> {
    const { signal } = watcher.start;
    const wake = (): void => watcher.wake?.();
    signal?.addEventListener('abort', wake, { once: true });
    try {
      for (;;) {
        if (signal?.aborted === true) return;
        if (watcher.pending.length > 0 && !this.#paused) yield watcher.pending.splice(0);
        else if (watcher.ended) return;
        else {
          await new Promise<void>((resolve) => (watcher.wake = resolve));
          watcher.wake = undefined;
        }
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.#watchers.delete(watcher);
    }
  }
}

export function selectionOf(
  namespace: string | undefined,
  query: Readonly<Record<string, string>>,
): Selection {
  return {
    namespace,
    labels: parseLabelSelector(query['labelSelector'] ?? ''),
    fields: parseFieldSelector(query['fieldSelector'] ?? ''),
  };
}

function selects(selection: Selection, object: StoredObject): boolean {
  if (selection.namespace !== undefined && object.metadata.namespace !== selection.namespace) return false;
  if (!matchesLabels(selection.labels, object.metadata.labels)) return false;
  if (selection.fields.length === 0) return true;
  const fields: Record<string, string> = {};
  for (const { field } of selection.fields) fields[field] = fieldValue(object, field);
  return matchesFields(selection.fields, fields);
}

/** Any path of scalars can be selected by; the real API knows a few per kind. */
function fieldValue(object: unknown, path: string): string {
  let value = object;
  for (const name of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[name];
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}

/** For a watcher with a selector an object that begins or ceases to match comes or goes. */
function offer(watcher: Watcher, change: Change): void {
  const { resource, selection } = watcher.start;
  if (change.resource !== resource) return;
  const was = change.before !== undefined && selects(selection, change.before);
  const is = change.after !== undefined && selects(selection, change.after);
  if (is) watcher.pending.push({ type: was ? 'MODIFIED' : 'ADDED', object: change.last });
  else if (was)
    watcher.pending.push({
      type: 'DELETED',
      object:
        change.after === undefined
          ? change.last
          : deepFreeze({
              ...change.before,
              metadata: {
                ...change.before.metadata,
                resourceVersion: String(change.version),
              },
            }),
    });
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
