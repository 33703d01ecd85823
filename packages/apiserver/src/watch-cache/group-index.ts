import type { CacheEvent } from './event-ring.ts';
import { selectedField, selectedName, type Selection } from './selection.ts';
import { WatchGroup, type EventEncoder } from './watch-group.ts';

/**
 * The watch groups of a resource, found by what they watch: an event is offered only to groups of its namespace, its name
 * or its field values (a thousand kubelets watch `spec.nodeName=…`; each event concerns one of them), and to those that
 * watch everything.
 */
export class GroupIndex {
  readonly #groups = new Map<string, WatchGroup>();
  readonly #unbounded = new Set<WatchGroup>();
  readonly #byNamespace = new Map<string, Set<WatchGroup>>();
  /** By name, whatever the namespace. */
  readonly #byName = new Map<string, Set<WatchGroup>>();
  readonly #byField = new Map<string, Map<string, Set<WatchGroup>>>();

  get size(): number {
    return this.#groups.size;
  }

  groups(): IterableIterator<WatchGroup> {
    return this.#groups.values();
  }

  /** The group for this question, made if there is none. */
  join(selection: Selection, encoder: EventEncoder): WatchGroup {
    const id = `${encoder.id}\n${selection.id}`;
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new WatchGroup(selection, encoder);
      this.#groups.set(id, group);
      this.#bucket(selection, true)?.add(group);
    }
    return group;
  }

  /** Forgets a group without members. */
  drop(group: WatchGroup): void {
    if (group.members.size > 0) return;
    const { selection } = group;
    this.#groups.delete(`${group.encoder.id}\n${selection.id}`);
    const bucket = this.#bucket(selection, false);
    bucket?.delete(group);
    if (bucket?.size === 0) this.#dropBucket(selection);
  }

  /** Offers the event to whom it may concern; `onWaiting` gets each group that has something to flush now. */
  offer(event: CacheEvent, onWaiting: (group: WatchGroup) => void): void {
    if (this.#groups.size === 0) return;
    const { record, previous } = event;
    offerAll(this.#unbounded, event, onWaiting);
    if (this.#byNamespace.size > 0) offerAll(this.#byNamespace.get(record.namespace), event, onWaiting);
    if (this.#byName.size > 0) offerAll(this.#byName.get(record.name), event, onWaiting);
    for (const [field, byValue] of this.#byField) {
      const value = record.fields[field] ?? '';
      const before = previous?.fields[field] ?? value;
      offerAll(byValue.get(value), event, onWaiting);
      if (before !== value) offerAll(byValue.get(before), event, onWaiting);
    }
  }

  #bucket(selection: Selection, make: boolean): Set<WatchGroup> | undefined {
    const name = selectedName(selection);
    if (name !== undefined) return bucketOf(this.#byName, name, make);
    const field = selectedField(selection);
    if (field !== undefined) {
      let byValue = this.#byField.get(field.field);
      if (byValue === undefined) {
        if (!make) return undefined;
        byValue = new Map<string, Set<WatchGroup>>();
        this.#byField.set(field.field, byValue);
      }
      return bucketOf(byValue, field.value, make);
    }
    if (selection.namespace !== undefined) return bucketOf(this.#byNamespace, selection.namespace, make);
    return this.#unbounded;
  }

  #dropBucket(selection: Selection): void {
    const name = selectedName(selection);
    const field = selectedField(selection);
    if (name !== undefined) this.#byName.delete(name);
    else if (field !== undefined) {
      const byValue = this.#byField.get(field.field);
      byValue?.delete(field.value);
      if (byValue?.size === 0) this.#byField.delete(field.field);
    } else if (selection.namespace !== undefined) this.#byNamespace.delete(selection.namespace);
  }
}

function bucketOf(
  buckets: Map<string, Set<WatchGroup>>,
  key: string,
  make: boolean,
): Set<WatchGroup> | undefined {
  let bucket = buckets.get(key);
  if (bucket === undefined && make) buckets.set(key, (bucket = new Set()));
  return bucket;
}

function offerAll(
  groups: Set<WatchGroup> | undefined,
  event: CacheEvent,
  onWaiting: (group: WatchGroup) => void,
): void {
  if (groups === undefined) return;
  for (const group of groups) {
    const { namespace } = group.selection;
    if (namespace !== undefined && namespace !== event.record.namespace) continue;
    if (group.offer(event)) onWaiting(group);
  }
}
