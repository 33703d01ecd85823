/**
 * The difference that the refusal of a pod update shows, in the manner of go-cmp's reports: Go's names, `-` for what is
 * stored, `+` for what was sent, runs of equal fields counted. Scripts match the sentence before it; the diff is for
 * people, and go-cmp's own form changes between releases.
 */
import type { FieldSchema, Schema } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { semanticEqual } from '../../semantic-equal.ts';

const MAX_LINES = 100;

export function specDiff(schema: Schema, left: unknown, right: unknown): string {
  const lines: string[] = [];
  object(schema, left, right, '  ', '', `core.${schema.goName}`, lines);
  const shown =
    lines.length > MAX_LINES ? [...lines.slice(0, MAX_LINES), '  \t... // more differences'] : lines;
  return `${shown.join('\n')}\n`;
}

type Fields = Readonly<Record<string, unknown>>;

function object(
  schema: Schema,
  left: unknown,
  right: unknown,
  indent: string,
  prefix: string,
  type: string,
  lines: string[],
): void {
  lines.push(`${indent}${prefix}${type}{`);
  const [a, b] = [(left ?? {}) as Fields, (right ?? {}) as Fields];
  let same = 0;
  const flush = (): void => {
    if (same > 0) lines.push(`${indent}\t... // ${same} identical field${same === 1 ? '' : 's'}`);
    same = 0;
  };
  for (const field of schema.fields.values()) {
    const [before, after] = [a[field.name], b[field.name]];
    if (equal(field, before, after)) {
      same++;
      continue;
    }
    flush();
    value(field.schema, before, after, indent, `${goName(field.name)}: `, lines);
  }
  flush();
  lines.push(`${indent}}${prefix === '' ? '' : ','}`);
}

function equal(field: FieldSchema, before: unknown, after: unknown): boolean {
  if (field.pointer && (before === undefined) !== (after === undefined)) return false;
  return semanticEqual(field.schema, before, after);
}

function value(
  schema: Schema,
  before: unknown,
  after: unknown,
  indent: string,
  prefix: string,
  lines: string[],
): void {
  const inner = `${indent}\t`;
  if (schema.type === 'object' && before !== undefined && after !== undefined) {
    object(schema, before, after, inner, prefix, schema.goName, lines);
  } else if (schema.type === 'array' && Array.isArray(before) && Array.isArray(after)) {
    lines.push(`${inner}${prefix}[]${schema.items?.goName ?? 'string'}{`);
    elements(schema.items, before, after, inner, lines);
    lines.push(`${inner}},`);
  } else {
    if (before !== undefined) lines.push(`- ${inner.slice(2)}${prefix}${text(before)},`);
    if (after !== undefined) lines.push(`+ ${inner.slice(2)}${prefix}${text(after)},`);
  }
}

function elements(
  items: Schema | undefined,
  before: unknown[],
  after: unknown[],
  indent: string,
  lines: string[],
): void {
  let same = 0;
  for (let i = 0; i < Math.max(before.length, after.length); i++) {
    if (i < before.length && i < after.length && semanticEqual(items, before[i], after[i])) {
      same++;
      continue;
    }
    if (same > 0) lines.push(`${indent}\t... // ${same} identical element${same === 1 ? '' : 's'}`);
    same = 0;
    const bothThere = i < before.length && i < after.length;
    if (bothThere && items?.type === 'object')
      object(items, before[i], after[i], `${indent}\t`, ' ', '', lines);
    else {
      if (i < before.length) lines.push(`- ${indent.slice(2)}\t${text(before[i])},`);
      if (i < after.length) lines.push(`+ ${indent.slice(2)}\t${text(after[i])},`);
    }
  }
  if (same > 0) lines.push(`${indent}\t... // ${same} identical element${same === 1 ? '' : 's'}`);
}

function text(value: unknown): string {
  return typeof value === 'string' ? goQuote(value) : JSON.stringify(value);
}

/** `hostIPs` is `HostIPs`, `dnsPolicy` is `DNSPolicy`. */
function goName(name: string): string {
  const acronym = /^(?:dns|os|fs|tty|ip)(?=[A-Z]|$)/.exec(name)?.[0] ?? '';
  return acronym === ''
    ? name.charAt(0).toUpperCase() + name.slice(1)
    : acronym.toUpperCase() + name.slice(acronym.length);
}
