/** Expressions and what they give, as the tests write them down. */
import { createCelEnvironment } from '../environment.ts';
import type { CelEnvironmentInit } from '../environment.ts';
import { CelType } from '../language/type.ts';
import { CelIssue, compileCel } from '../program.ts';
import type { CelProgram } from '../program.ts';
import { decimal, formatCelDuration, formatTimestamp } from '../value/time.ts';
import {
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelOptional,
  CelTimestamp,
  CelUint,
} from '../value/value.ts';
import type { CelResult } from '../value/value.ts';

export function compiled(expression: string, init?: CelEnvironmentInit): CelProgram {
  const program = compileCel(expression, createCelEnvironment(init));
  if (program instanceof CelIssue) throw new Error(program.message);
  return program;
}

/** The issue's text; empty where the expression compiles. */
export function issueOf(expression: string, init?: CelEnvironmentInit): string {
  const program = compileCel(expression, createCelEnvironment(init));
  return program instanceof CelIssue ? program.message : '';
}

/** The value as a literal, `error: …`, or `issue: …` with the first message. */
export function evaluated(expression: string, init?: CelEnvironmentInit): string {
  const program = compileCel(expression, createCelEnvironment(init));
  if (program instanceof CelIssue)
    return `issue: ${program.message.split('\n')[0]?.replace(/^ERROR: <input>:[0-9]+:[0-9]+: /, '') ?? ''}`;
  return literal(program.evaluate({}).value);
}

export function literal(value: CelResult): string {
  if (value instanceof CelError) return `error: ${value.message}`;
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number')
    return /^-?[0-9]+$/.test(decimal(value)) ? `${decimal(value)}.0` : String(value);
  if (typeof value === 'bigint' || typeof value === 'boolean' || value === null) return String(value);
  if (value instanceof CelUint) return `${value.value}u`;
  if (value instanceof CelTimestamp) return `timestamp(${formatTimestamp(value)})`;
  if (value instanceof CelDuration) return `duration(${formatCelDuration(value)})`;
  if (value instanceof CelType) return value.name;
  if (value instanceof CelOptional)
    return value.value === undefined ? 'none' : `optional(${literal(value.value)})`;
  if (value instanceof CelList)
    return `[${Array.from({ length: value.size }, (_, i) => literal(value.get(i))).join(', ')}]`;
  if (value instanceof CelMap)
    return `{${[...value.keys()].map((key) => `${literal(key)}: ${literal(value.find(key) ?? null)}`).join(', ')}}`;
  if (value instanceof Uint8Array) return `b"${Buffer.from(value).toString('hex')}"`;
  return value.toText();
}
