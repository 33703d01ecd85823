/**
 * Sets of fields, in the very form they have on the wire (`fieldsV1`): a tree whose keys are path elements.
 *
 *     { "f:metadata": { "f:labels": { ".": {}, "f:app": {} } },
 *       "f:spec": { "f:containers": { 'k:{"name":"a"}': { ".": {}, "f:image": {} } } } }
 *
 * holds `.metadata.labels`, `.metadata.labels.app`, `.spec.containers[name="a"]` and `.spec.containers[name="a"].image`.
 * A node is a member of the set when it has the key `.` or no keys at all. The root is no member; an empty root is the
 * empty set. Trees are immutable and shared: operations return their argument where nothing changes, so that writing an
 * object costs nothing for the managers it does not touch.
 *
 * Keys are canonical (members of `k:` sorted, no spaces), so path elements are compared as strings. They are kept in the
 * order of strings, which is upstream's but for numbers inside of `k:` and `v:`.
 */
import { goQuote } from '../go-quote.ts';
import { isJsonObject, MAX_JSON_DEPTH } from '../json.ts';
import { goJson } from '../validation/field-errors.ts';

export interface FieldSet {
  readonly [element: string]: FieldSet;
}

type MutableFieldSet = Record<string, FieldSet>;

/** A member without children, and the empty set. */
export const LEAF: FieldSet = Object.freeze({});

export function isEmptySet(set: FieldSet): boolean {
  for (const _key in set) return false;
  return true;
}

/** Whether a node below the root stands for a field of the set itself. */
export function isMember(node: FieldSet): boolean {
  return node['.'] !== undefined || isEmptySet(node);
}

/** A node of these children. Undefined where there is nothing to hold. */
function build(member: boolean, children: readonly (readonly [string, FieldSet])[]): FieldSet | undefined {
  if (children.length === 0) return member ? LEAF : undefined;
  const node: MutableFieldSet = {};
  if (member) node['.'] = LEAF;
  for (const [key, child] of children) node[key] = child;
  return node;
}

/** Puts keys that were set as they came into their order. Nodes are small; most are in order already. */
export function sorted(node: FieldSet): FieldSet {
  const keys = Object.keys(node);
  for (let i = 1; i < keys.length; i++) {
    if ((keys[i - 1] as string) > (keys[i] as string)) {
      const ordered: MutableFieldSet = {};
      for (const key of keys.sort()) ordered[key] = node[key] as FieldSet;
      return ordered;
    }
  }
  return node;
}

/** Fields in either set. */
export function union(left: FieldSet, right: FieldSet): FieldSet {
  return unionNodes(left, right, false, false);
}

function unionNodes(
  left: FieldSet,
  right: FieldSet,
  leftIsMember: boolean,
  rightIsMember: boolean,
): FieldSet {
  if (left === right) return left;
  let merged: MutableFieldSet | undefined;
  if (rightIsMember && !leftIsMember) merged = { '.': LEAF, ...left };
  // A member without children gets its mark once it has some.
  if (leftIsMember && left['.'] === undefined && !isEmptySet(right)) merged = { '.': LEAF };
  for (const key in right) {
    if (key === '.') continue;
    const theirs = right[key] as FieldSet;
    const ours = left[key];
    const both = ours === undefined ? theirs : unionNodes(ours, theirs, isMember(ours), isMember(theirs));
    if (both === ours) continue;
    merged ??= { ...left };
    merged[key] = both;
  }
  if (merged === undefined) return left;
  return isOnlyMark(merged) ? LEAF : sorted(merged);
}

function isOnlyMark(node: FieldSet): boolean {
  if (node['.'] === undefined) return false;
  for (const key in node) if (key !== '.') return false;
  return true;
}

export function unionOptional(left: FieldSet | undefined, right: FieldSet | undefined): FieldSet | undefined {
  if (left === undefined) return right;
  return right === undefined ? left : union(left, right);
}

/** Fields of `left` that are not in `right`; children stay when only their parent is taken away, and the reverse. */
export function difference(left: FieldSet, right: FieldSet): FieldSet {
  return differenceNodes(left, right, false, false) ?? LEAF;
}

function differenceNodes(
  left: FieldSet,
  right: FieldSet,
  leftIsMember: boolean,
  rightIsMember: boolean,
): FieldSet | undefined {
  const member = leftIsMember && !rightIsMember;
  let changed = member !== leftIsMember;
  const children: [string, FieldSet][] = [];
  for (const key in left) {
    if (key === '.') continue;
    const ours = left[key] as FieldSet;
    const theirs = right[key];
    const rest =
      theirs === undefined ? ours : differenceNodes(ours, theirs, isMember(ours), isMember(theirs));
    if (rest !== ours) changed = true;
    if (rest !== undefined) children.push([key, rest]);
  }
  return changed ? build(member, children) : left;
}

/** As `difference`, but a field that is taken away takes everything below it along. */
export function recursiveDifference(left: FieldSet, right: FieldSet): FieldSet {
  return recursiveDifferenceNodes(left, right, false) ?? LEAF;
}

function recursiveDifferenceNodes(left: FieldSet, right: FieldSet, member: boolean): FieldSet | undefined {
  let changed = false;
  const children: [string, FieldSet][] = [];
  for (const key in left) {
    if (key === '.') continue;
    const ours = left[key] as FieldSet;
    const theirs = right[key];
    let rest: FieldSet | undefined = ours;
    if (theirs !== undefined)
      rest = isMember(theirs) ? undefined : recursiveDifferenceNodes(ours, theirs, isMember(ours));
    if (rest !== ours) changed = true;
    if (rest !== undefined) children.push([key, rest]);
  }
  return changed ? build(member, children) : left;
}

/** Fields in both sets. */
export function intersection(left: FieldSet, right: FieldSet): FieldSet {
  return intersectionNodes(left, right, false, false) ?? LEAF;
}

function intersectionNodes(
  left: FieldSet,
  right: FieldSet,
  leftIsMember: boolean,
  rightIsMember: boolean,
): FieldSet | undefined {
  if (left === right) return left;
  const children: [string, FieldSet][] = [];
  for (const key in left) {
    const theirs = right[key];
    if (key === '.' || theirs === undefined) continue;
    const ours = left[key] as FieldSet;
    const both = intersectionNodes(ours, theirs, isMember(ours), isMember(theirs));
    if (both !== undefined) children.push([key, both]);
  }
  return build(leftIsMember && rightIsMember, children);
}

/** Calls back with the path of every field of the set, as upstream writes paths: `.spec.containers[name="a"].image`. */
export function forEachPath(set: FieldSet, visit: (path: string) => void): void {
  visitBelow(set, '', visit);
}

function visitBelow(node: FieldSet, path: string, visit: (path: string) => void): void {
  // Members come before what is below any of them, as in upstream's iteration.
  for (const key in node) {
    if (key !== '.' && isMember(node[key] as FieldSet)) visit(path + formatElement(key));
  }
  for (const key in node) {
    if (key !== '.') visitBelow(node[key] as FieldSet, path + formatElement(key), visit);
  }
}

function formatElement(element: string): string {
  const content = element.slice(2);
  switch (element[0]) {
    case 'f':
      return `.${content}`;
    case 'v':
      return `[=${formatScalar(JSON.parse(content))}]`;
    case 'k': {
      const key = JSON.parse(content) as Readonly<Record<string, unknown>>;
      return `[${Object.entries(key)
        .map(([name, value]) => `${name}=${formatScalar(value)}`)
        .join(',')}]`;
    }
    default:
      return `[${content}]`;
  }
}

function formatScalar(value: unknown): string {
  return typeof value === 'string' ? goQuote(value) : JSON.stringify(value);
}

/** What is no `fieldsV1`. */
export class FieldSetError extends Error {
  override readonly name = 'FieldSetError';
}

/**
 * Checks a tree that came from outside and makes its keys canonical. Kinds of path elements that are not known are
 * dropped, as upstream does. Throws FieldSetError.
 */
export function parseFieldSet(tree: unknown): FieldSet {
  if (!isJsonObject(tree)) throw new FieldSetError('fieldsV1 must be an object');
  return parseNode(tree, 0);
}

function parseNode(tree: object, depth: number): FieldSet {
  if (depth > MAX_JSON_DEPTH) throw new FieldSetError('exceeded max depth');
  const node: MutableFieldSet = {};
  for (const [key, child] of Object.entries(tree)) {
    if (key === '.') {
      node['.'] = LEAF;
      continue;
    }
    const element = parseElement(key);
    if (element === undefined) continue;
    if (!isJsonObject(child)) throw new FieldSetError(`${goQuote(key)} must be an object`);
    node[element] = parseNode(child, depth + 1);
  }
  if (depth === 0) delete node['.'];
  return isOnlyMark(node) ? LEAF : sorted(node);
}

function parseElement(key: string): string | undefined {
  if (key.length < 2) throw new FieldSetError('key must be 2 characters long:');
  if (key[1] !== ':') throw new FieldSetError(`missing colon: ${key}`);
  switch (key[0]) {
    case 'f':
      return key;
    case 'i':
      if (!/^i:[+-]?[0-9]+$/.test(key)) throw new FieldSetError(`invalid index: ${key}`);
      return `i:${Number(key.slice(2))}`;
    case 'v':
      return valueElement(parseContent(key));
    case 'k': {
      const content = parseContent(key);
      if (!isJsonObject(content)) throw new FieldSetError(`invalid key: ${key}`);
      const names = Object.keys(content).sort();
      return `k:{${names.map((name) => `${goJson(name)}:${goJson(content[name])}`).join(',')}}`;
    }
    default:
      return undefined;
  }
}

function parseContent(key: string): unknown {
  let content: unknown;
  try {
    content = JSON.parse(key.slice(2));
  } catch {
    throw new FieldSetError(`invalid JSON in ${goQuote(key.slice(0, 100))}`);
  }
  return content;
}

/** The path element of a scalar in a set list: `v:"a"`. */
export function valueElement(value: unknown): string {
  return `v:${goJson(value)}`;
}
