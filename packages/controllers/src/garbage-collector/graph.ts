import type { KubeObject, ResourceType, metav1 } from '@k8ts/api';

export const ORPHAN = 'orphan';
export const FOREGROUND = 'foregroundDeletion';

type Reference = metav1.OwnerReference;

/** An object that owns or is owned, or that somebody refers to as an owner and nobody has seen yet (`virtual`). */
export interface GraphNode {
  readonly uid: string;
  /** Undefined for a virtual node, whose type is only known as the reference names it. */
  type: ResourceType<KubeObject> | undefined;
  namespace: string;
  name: string;
  /** As the objects that refer to a virtual node name it. */
  apiVersion: string;
  kind: string;
  owners: readonly Reference[];
  readonly dependents: Set<GraphNode>;
  virtual: boolean;
  beingDeleted: boolean;
  /** It waits for its dependents to be deleted (finalizer foregroundDeletion). */
  deletingDependents: boolean;
  /** It waits for its dependents to be orphaned (finalizer orphan). */
  orphaning: boolean;
}

/** What the graph finds worth a look: whether the object is to be deleted, or its dependents are to be orphaned. */
export interface GraphWork {
  attemptToDelete(uid: string): void;
  attemptToOrphan(uid: string): void;
}

/**
 * Who owns whom, by UID, over all kinds (upstream's graph_builder.go). Events arrive per kind in order but between kinds in
 * any order, so a dependent may be seen before its owner; the owner is a virtual node until then. The graph only says where
 * to look: nothing is deleted for what it says without asking the API server first.
 */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #work: GraphWork;

  constructor(work: GraphWork) {
    this.#work = work;
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  /** All nodes of a type that have been seen. */
  ofType(type: ResourceType<KubeObject>): GraphNode[] {
    return [...this.#nodes.values()].filter((node) => node.type === type);
  }

  /** An object was added or changed. */
  observe(type: ResourceType<KubeObject>, metadata: metav1.ObjectMeta): void {
    const { uid, name, namespace = '', ownerReferences = [], deletionTimestamp, finalizers = [] } = metadata;
    if (uid === undefined) return;
    let node = this.#nodes.get(uid);
    if (node === undefined) {
      node = createNode(uid, type, namespace, name);
      this.#nodes.set(uid, node);
    } else if (node.virtual) this.#materialize(node, type, namespace, name);
    this.#setOwners(node, ownerReferences);

    node.beingDeleted = deletionTimestamp !== undefined;
    const orphaning = node.beingDeleted && finalizers.includes(ORPHAN);
    const deletingDependents = node.beingDeleted && finalizers.includes(FOREGROUND);
    if (orphaning && !node.orphaning) this.#work.attemptToOrphan(uid);
    if (deletingDependents && !node.deletingDependents) {
      for (const dependent of node.dependents) this.#work.attemptToDelete(dependent.uid);
      this.#work.attemptToDelete(uid);
    }
    node.orphaning = orphaning;
    node.deletingDependents = deletingDependents;
  }

  /** An object is gone, or a virtual one turned out not to exist. */
  remove(uid: string): void {
    const node = this.#nodes.get(uid);
    if (node === undefined) return;
    this.#nodes.delete(uid);
    this.#unlink(node, node.owners);
    for (const dependent of node.dependents) this.#work.attemptToDelete(dependent.uid);
    for (const { uid: owner } of node.owners)
      if (this.#nodes.get(owner)?.deletingDependents === true) this.#work.attemptToDelete(owner);
  }

  #materialize(node: GraphNode, type: ResourceType<KubeObject>, namespace: string, name: string): void {
    node.virtual = false;
    node.type = type;
    node.namespace = namespace;
    node.name = name;
    node.kind = type.kind;
    // Whoever refers to it by other words (another name, another kind) may have no owner at all.
    for (const dependent of node.dependents) {
      const reference = dependent.owners.find(({ uid }) => uid === node.uid);
      const matches = reference !== undefined && reference.name === name && reference.kind === type.kind;
      if (!matches || (namespace !== '' && namespace !== dependent.namespace))
        this.#work.attemptToDelete(dependent.uid);
    }
  }

  #setOwners(node: GraphNode, owners: readonly Reference[]): void {
    const before = node.owners;
    const removed = before.filter(({ uid }) => !owners.some((owner) => owner.uid === uid));
    const added = owners.filter(({ uid }) => !before.some((owner) => owner.uid === uid));
    this.#unlink(node, removed);
    node.owners = owners;
    this.#link(node, added);
    // An owner that waits for this one need not wait any longer once the reference no longer blocks it.
    for (const old of before) {
      if (old.blockOwnerDeletion !== true) continue;
      const now = owners.find(({ uid }) => uid === old.uid);
      if (now?.blockOwnerDeletion !== true && this.#nodes.get(old.uid)?.deletingDependents === true)
        this.#work.attemptToDelete(old.uid);
    }
  }

  #link(node: GraphNode, owners: readonly Reference[]): void {
    for (const reference of owners) {
      let owner = this.#nodes.get(reference.uid);
      if (owner === undefined) {
        owner = createVirtualNode(reference, node.namespace);
        this.#nodes.set(reference.uid, owner);
        this.#work.attemptToDelete(reference.uid); // find out whether it exists
      } else if (!owner.virtual && !refersTo(reference, owner, node)) this.#work.attemptToDelete(node.uid);
      owner.dependents.add(node);
    }
  }

  #unlink(node: GraphNode, owners: readonly Reference[]): void {
    for (const { uid } of owners) {
      const owner = this.#nodes.get(uid);
      owner?.dependents.delete(node);
      if (owner?.virtual === true && owner.dependents.size === 0) this.#nodes.delete(uid);
    }
  }
}

function refersTo(reference: Reference, owner: GraphNode, dependent: GraphNode): boolean {
  return (
    reference.name === owner.name &&
    reference.kind === owner.kind &&
    (owner.namespace === '' || owner.namespace === dependent.namespace)
  );
}

function createNode(uid: string, type: ResourceType<KubeObject>, namespace: string, name: string): GraphNode {
  return {
    uid,
    type,
    namespace,
    name,
    apiVersion: type.group === '' ? type.version : `${type.group}/${type.version}`,
    kind: type.kind,
    owners: [],
    dependents: new Set(),
    virtual: false,
    beingDeleted: false,
    deletingDependents: false,
    orphaning: false,
  };
}

function createVirtualNode({ uid, apiVersion, kind, name }: Reference, namespace: string): GraphNode {
  return {
    uid,
    type: undefined,
    namespace,
    name,
    apiVersion,
    kind,
    owners: [],
    dependents: new Set(),
    virtual: true,
    beingDeleted: false,
    deletingDependents: false,
    orphaning: false,
  };
}

/** The dependents that an owner has to wait for in a foreground deletion. */
export function blockingDependents(node: GraphNode): GraphNode[] {
  return [...node.dependents].filter((dependent) =>
    dependent.owners.some(({ uid, blockOwnerDeletion }) => uid === node.uid && blockOwnerDeletion === true),
  );
}
