/** Kubernetes' regex library. */
import { declareFunction, memberOverload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { INT, listType, STRING } from '../language/type.ts';
import { stringList } from '../value/list.ts';
import { CelError } from '../value/value.ts';
import type { CelResult } from '../value/value.ts';
import { Re2Error } from '../../re2.ts';
import { compilePattern } from '../value/pattern-cache.ts';
import type { Re2 } from '../../re2.ts';

function withPattern(pattern: string, use: (expression: Re2) => CelResult): CelResult {
  try {
    return use(compilePattern(pattern));
  } catch (error) {
    if (error instanceof Re2Error) return new CelError(`Illegal regex: ${error.message}`);
    throw error;
  }
}

function find(text: string, pattern: string): CelResult {
  return withPattern(pattern, (expression) => expression.findAll(text, 1)[0] ?? '');
}

function findAll(text: string, pattern: string, limit = -1n): CelResult {
  return withPattern(pattern, (expression) => stringList(expression.findAll(text, Number(limit))));
}

export const REGEX_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction('find', memberOverload('string_find_string', [STRING, STRING], STRING, find)),
  declareFunction(
    'findAll',
    memberOverload('string_find_all_string', [STRING, STRING], listType(STRING), findAll),
    memberOverload('string_find_all_string_int', [STRING, STRING, INT], listType(STRING), findAll),
  ),
];
