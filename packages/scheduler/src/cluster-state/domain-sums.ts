import type { NodeTable, TopologyDomains } from './node-table.ts';

/**
 * What is counted by node, summed by domain. The sums are kept: `refresh` looks again only at the nodes that have changed,
 * takes away what each gave when it was last looked at, and adds what it gives now. Guarded by bench/scheduler.bench.ts.
 */
export class DomainSums {
  readonly domains: TopologyDomains;
  /** By number of the domain. */
  sums: Float64Array = new Float64Array(0);
  /** By number of the domain: its nodes that count. */
  members: Int32Array = new Int32Array(0);

  readonly #nodes: NodeTable;
  readonly #counter: { readonly counts: Int32Array };
  readonly #counts: (node: number) => boolean;
  /** By node: in which domain it was counted, -1 for none, and with how much. */
  #domainOf = new Int32Array(0);
  #amountOf = new Float64Array(0);
  #position = -1;

  /** `counts` says which nodes count, and may look at nothing but what is in the node's row. Default: all. */
  constructor(
    nodes: NodeTable,
    domains: TopologyDomains,
    counter: { readonly counts: Int32Array },
    counts: (node: number) => boolean = () => true,
  ) {
    this.#nodes = nodes;
    this.domains = domains;
    this.#counter = counter;
    this.#counts = counts;
  }

  /** The sum in a node's domain; 0 for a node that is in none. */
  at(node: number): number {
    const domain = this.domains.of[node] as number;
    return domain < 0 ? 0 : (this.sums[domain] as number);
  }

  refresh(): void {
    const nodes = this.#nodes;
    const changed =
      this.#position < 0 || this.#domainOf.length !== nodes.capacity
        ? undefined
        : nodes.changedSince(this.#position);
    this.#position = nodes.logEnd;
    if (changed === undefined) {
      this.#reset();
      for (let node = 0; node < nodes.rows; node++) this.#add(node);
      return;
    }
    if (this.sums.length < this.domains.count) this.#makeRoom();
    for (const node of changed) {
      this.#take(node);
      this.#add(node);
    }
  }

  /** As `refresh`, of one node whose change is not in the log; to be called again when that is undone. */
  recount(node: number): void {
    if (this.#position < 0 || this.#domainOf.length !== this.#nodes.capacity) {
      this.refresh();
      return;
    }
    if (this.sums.length < this.domains.count) this.#makeRoom();
    this.#take(node);
    this.#add(node);
  }

  #reset(): void {
    this.sums = new Float64Array(this.domains.count);
    this.members = new Int32Array(this.domains.count);
    this.#domainOf = new Int32Array(this.#nodes.capacity).fill(-1);
    this.#amountOf = new Float64Array(this.#nodes.capacity);
  }

  /** Domains come one by one as nodes do, so there is room for more than one. */
  #makeRoom(): void {
    const room = 2 * this.domains.count;
    const [sums, members] = [new Float64Array(room), new Int32Array(room)];
    sums.set(this.sums);
    members.set(this.members);
    [this.sums, this.members] = [sums, members];
  }

  #take(node: number): void {
    const domain = this.#domainOf[node] as number;
    if (domain < 0) return;
    this.sums[domain] = (this.sums[domain] as number) - (this.#amountOf[node] as number);
    this.members[domain] = (this.members[domain] as number) - 1;
    this.#domainOf[node] = -1;
  }

  #add(node: number): void {
    const domain = this.domains.of[node] as number;
    if (domain < 0 || this.#nodes.names[node] === undefined || !this.#counts(node)) return;
    const amount = this.#counter.counts[node] as number;
    this.sums[domain] = (this.sums[domain] as number) + amount;
    this.members[domain] = (this.members[domain] as number) + 1;
    this.#domainOf[node] = domain;
    this.#amountOf[node] = amount;
  }
}
