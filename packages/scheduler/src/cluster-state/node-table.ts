/**
 * The nodes as the scheduler sees them: arrays of numbers, a node being an index. Guarded by bench/scheduler.bench.ts.
 *
 * Invariant: whatever changes a row ends with `touch`, which stamps the row and writes it to the change log, or is undone
 * before anybody else looks; an evaluation that has seen the log up to some position needs to look only at the rows after it.
 */
import type { corev1 } from '@k8ts/api';
import { amountsOf } from './pod-resources.ts';
import type { ResourceAmounts } from './pod-resources.ts';

const INITIAL_CAPACITY = 64;

export class NodeTable {
  /** Rows in use are those with a name; removed rows are taken again. */
  readonly names: (string | undefined)[] = [];
  readonly objects: (corev1.Node | undefined)[] = [];

  allocatableCpu: Float64Array = new Float64Array(INITIAL_CAPACITY);
  allocatableMemory: Float64Array = new Float64Array(INITIAL_CAPACITY);
  allocatableStorage: Float64Array = new Float64Array(INITIAL_CAPACITY);
  allocatablePods: Float64Array = new Float64Array(INITIAL_CAPACITY);
  requestedCpu: Float64Array = new Float64Array(INITIAL_CAPACITY);
  requestedMemory: Float64Array = new Float64Array(INITIAL_CAPACITY);
  requestedStorage: Float64Array = new Float64Array(INITIAL_CAPACITY);
  /** Requests with containers that ask for nothing counted as something; for comparing nodes. */
  nonZeroCpu: Float64Array = new Float64Array(INITIAL_CAPACITY);
  nonZeroMemory: Float64Array = new Float64Array(INITIAL_CAPACITY);
  podCount: Int32Array = new Int32Array(INITIAL_CAPACITY);
  unschedulable: Uint8Array = new Uint8Array(INITIAL_CAPACITY);
  /** Stamp of the last change of the row. */
  version: Int32Array = new Int32Array(INITIAL_CAPACITY);

  /** Extended resources, by name: what nodes have and what their pods asked for. Absent rows are 0. */
  readonly allocatableOthers: Map<string, Float64Array> = new Map<string, Float64Array>();
  readonly requestedOthers: Map<string, Float64Array> = new Map<string, Float64Array>();
  readonly taints: (readonly corev1.Taint[])[] = [];
  /** Host ports in use, `TCP/0.0.0.0/80`, each with how many pods use it; undefined for none. */
  readonly hostPorts: (Map<string, number> | undefined)[] = [];

  readonly #indexes = new Map<string, number>();
  readonly #free: number[] = [];
  readonly #domains = new Map<string, TopologyDomains>();
  #log: number[] = [];
  #logStart = 0;
  #stamp = 0;

  /** Rows, used or not. */
  get rows(): number {
    return this.names.length;
  }

  /** Nodes there are. */
  get size(): number {
    return this.#indexes.size;
  }

  get capacity(): number {
    return this.version.length;
  }

  indexOf(name: string): number | undefined {
    return this.#indexes.get(name);
  }

  /** Adds a node, or takes over its new state. */
  put(node: corev1.Node): number {
    const name = node.metadata.name ?? '';
    let index = this.#indexes.get(name);
    if (index === undefined) {
      index = this.#free.pop() ?? this.names.length;
      if (index >= this.capacity) this.#grow();
      this.#indexes.set(name, index);
      this.names[index] = name;
      this.hostPorts[index] = undefined;
    }
    this.objects[index] = node;
    const amounts = amountsOf(node.status?.allocatable);
    this.allocatableCpu[index] = amounts.cpu;
    this.allocatableMemory[index] = amounts.memory;
    this.allocatableStorage[index] = amounts.ephemeralStorage;
    this.allocatablePods[index] = Number(node.status?.allocatable?.['pods'] ?? 0);
    for (const column of this.allocatableOthers.values()) column[index] = 0;
    for (const [resource, amount] of amounts.others ?? [])
      columnOf(this.allocatableOthers, resource, this.capacity)[index] = amount;
    this.unschedulable[index] = node.spec?.unschedulable === true ? 1 : 0;
    this.taints[index] = node.spec?.taints ?? [];
    for (const [key, domains] of this.#domains) domains.set(index, node.metadata.labels?.[key]);
    this.touch(index);
    return index;
  }

  remove(name: string): number | undefined {
    const index = this.#indexes.get(name);
    if (index === undefined) return undefined;
    this.#indexes.delete(name);
    this.names[index] = undefined;
    this.objects[index] = undefined;
    this.taints[index] = [];
    this.hostPorts[index] = undefined;
    for (const column of [
      this.requestedCpu,
      this.requestedMemory,
      this.requestedStorage,
      this.nonZeroCpu,
      this.nonZeroMemory,
      this.podCount,
      ...this.requestedOthers.values(),
    ])
      column[index] = 0;
    for (const domains of this.#domains.values()) domains.set(index, undefined);
    this.#free.push(index);
    this.touch(index);
    return index;
  }

  /** Adds (`sign` 1) or takes away (-1) what a pod asks of a node. If this is to last, `touch` the row. */
  account(index: number, requests: ResourceAmounts, nonZero: ResourceAmounts, sign: 1 | -1): void {
    change(this.requestedCpu, index, sign * requests.cpu);
    change(this.requestedMemory, index, sign * requests.memory);
    change(this.requestedStorage, index, sign * requests.ephemeralStorage);
    change(this.nonZeroCpu, index, sign * nonZero.cpu);
    change(this.nonZeroMemory, index, sign * nonZero.memory);
    change(this.podCount, index, sign);
    for (const [resource, amount] of requests.others ?? [])
      change(columnOf(this.requestedOthers, resource, this.capacity), index, sign * amount);
  }

  /** The same for host ports. */
  usePorts(index: number, ports: readonly string[], sign: 1 | -1): void {
    const used = (this.hostPorts[index] ??= new Map<string, number>());
    for (const port of ports) {
      const users = (used.get(port) ?? 0) + sign;
      if (users > 0) used.set(port, users);
      else used.delete(port);
    }
  }

  touch(index: number): void {
    this.stamp(index);
    this.#log.push(index);
    if (this.#log.length > 4 * this.rows + 1024) {
      const dropped = this.#log.length >> 1;
      this.#log = this.#log.slice(dropped);
      this.#logStart += dropped;
    }
  }

  /** Something about the node's pods changed that no filter or score looks at, but who may be preempted for whom does. */
  stamp(index: number): void {
    this.version[index] = ++this.#stamp;
  }

  /** Position in the change log: all that happened so far is before it. */
  get logEnd(): number {
    return this.#logStart + this.#log.length;
  }

  /** Rows that changed since `position`; undefined when that is too long ago to know. A row may come twice. */
  changedSince(position: number): readonly number[] | undefined {
    if (position < this.#logStart) return undefined;
    return position === this.#logStart ? this.#log : this.#log.slice(position - this.#logStart);
  }

  /** Which nodes share a value of the label `key`. */
  domains(key: string): TopologyDomains {
    let domains = this.#domains.get(key);
    if (domains === undefined) {
      domains = new TopologyDomains(this.capacity);
      for (let index = 0; index < this.rows; index++)
        domains.set(index, this.objects[index]?.metadata.labels?.[key]);
      this.#domains.set(key, domains);
    }
    return domains;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    this.allocatableCpu = grown(this.allocatableCpu, capacity);
    this.allocatableMemory = grown(this.allocatableMemory, capacity);
    this.allocatableStorage = grown(this.allocatableStorage, capacity);
    this.allocatablePods = grown(this.allocatablePods, capacity);
    this.requestedCpu = grown(this.requestedCpu, capacity);
    this.requestedMemory = grown(this.requestedMemory, capacity);
    this.requestedStorage = grown(this.requestedStorage, capacity);
    this.nonZeroCpu = grown(this.nonZeroCpu, capacity);
    this.nonZeroMemory = grown(this.nonZeroMemory, capacity);
    this.podCount = grownInts(this.podCount, capacity);
    this.version = grownInts(this.version, capacity);
    const unschedulable = new Uint8Array(capacity);
    unschedulable.set(this.unschedulable);
    this.unschedulable = unschedulable;
    for (const columns of [this.allocatableOthers, this.requestedOthers])
      for (const [name, column] of columns) columns.set(name, grown(column, capacity));
    for (const domains of this.#domains.values()) domains.grow(capacity);
  }
}

/** The values of one node label, numbered: `of[node]` is the number of the node's value, -1 if it lacks the label. */
export class TopologyDomains {
  of: Int32Array;
  readonly #numbers = new Map<string, number>();

  constructor(capacity: number) {
    this.of = new Int32Array(capacity).fill(-1);
  }

  /** Numbers given so far; sums by domain need as many places. */
  get count(): number {
    return this.#numbers.size;
  }

  set(node: number, value: string | undefined): void {
    if (value === undefined) {
      this.of[node] = -1;
      return;
    }
    let number = this.#numbers.get(value);
    if (number === undefined) this.#numbers.set(value, (number = this.#numbers.size));
    this.of[node] = number;
  }

  grow(capacity: number): void {
    const of = new Int32Array(capacity).fill(-1);
    of.set(this.of);
    this.of = of;
  }
}

function change(column: Float64Array | Int32Array, index: number, by: number): void {
  column[index] = (column[index] as number) + by;
}

function columnOf(columns: Map<string, Float64Array>, name: string, capacity: number): Float64Array {
  let column = columns.get(name);
  if (column === undefined) columns.set(name, (column = new Float64Array(capacity)));
  return column;
}

function grown(column: Float64Array, capacity: number): Float64Array {
  const larger = new Float64Array(capacity);
  larger.set(column);
  return larger;
}

export function grownInts(column: Int32Array, capacity: number): Int32Array {
  const larger = new Int32Array(capacity);
  larger.set(column);
  return larger;
}
