/**
 * YAML as Kubernetes reads and writes it (sigs.k8s.io/yaml over go-yaml v2): YAML 1.1 booleans and octals, but neither
 * base-60 numbers nor dates; repeated keys are allowed, the last one wins, and strict callers are told.
 */
import { Composer, CST, isScalar, Lexer, LineCounter, Parser, stringify, visit } from 'yaml';
import type { Document, DocumentOptions, ParseOptions, SchemaOptions, Tags } from 'yaml';
import { goQuote } from '../go-quote.ts';
import { isWithinDepth } from '../json.ts';
import type { JsonValue } from '../json.ts';

/** The text is no YAML, or more than is safe to expand. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

export interface ParsedYaml {
  readonly value: JsonValue;
  /** One text naming all repeated keys, or none. */
  readonly duplicates: readonly string[];
}

/** Aliases may repeat what they name this often in all; a few lines could otherwise stand for gigabytes. */
const MAX_ALIASES = 100;
/** The library takes up to 1.5 kB of stack for a level. Manifests stay far below. */
const MAX_DEPTH = 200;
const UNKNOWN_TO_KUBERNETES: ReadonlySet<string> = new Set([
  'tag:yaml.org,2002:timestamp',
  'tag:yaml.org,2002:binary',
  'tag:yaml.org,2002:omap',
  'tag:yaml.org,2002:pairs',
  'tag:yaml.org,2002:set',
]);

function kubernetesTags(tags: Tags): Tags {
  return tags.filter(
    (tag) => typeof tag === 'string' || (!UNKNOWN_TO_KUBERNETES.has(tag.tag) && tag.format !== 'TIME'),
  );
}

const OPTIONS: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  customTags: kubernetesTags,
  merge: true,
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'error',
};

/** The first document; null for an empty text. Throws YamlError. */
export function parseYaml(text: string): ParsedYaml {
  const lineCounter = new LineCounter();
  const [first] = documentsOf(text, lineCounter);
  if (first === undefined) return { value: null, duplicates: [] };
  return { value: valueOf(first, lineCounter), duplicates: duplicateKeys(first, lineCounter) };
}

/** All documents that hold something, as `kubectl apply -f` takes them. Throws YamlError. */
export function parseYamlDocuments(text: string): JsonValue[] {
  const lineCounter = new LineCounter();
  return documentsOf(text, lineCounter)
    .map((document) => valueOf(document, lineCounter))
    .filter((value) => value !== null);
}

/**
 * The library builds documents recursively, and running out of stack inside of it may take the process down (V8 cannot
 * compile a regular expression then, and aborts). So depth is measured before: what can nest on one line while the text is
 * split into lexemes, which keeps hostile texts cheap, and the rest on the tokens, which come without recursion.
 */
function documentsOf(text: string, lineCounter: LineCounter): readonly Document.Parsed[] {
  lineCounter.addNewLine(0);
  const parser = new Parser(lineCounter.addNewLine);
  const tokens: CST.Token[] = [];
  let flowDepth = 0;
  let indicatorsOnLine = 0;
  for (const lexeme of new Lexer().lex(text)) {
    switch (CST.tokenType(lexeme)) {
      case 'flow-map-start':
      case 'flow-seq-start':
        flowDepth++;
        break;
      case 'flow-map-end':
      case 'flow-seq-end':
        flowDepth--;
        break;
      case 'seq-item-ind':
      case 'explicit-key-ind':
      case 'map-value-ind':
        if (flowDepth === 0) indicatorsOnLine++;
        break;
      case 'newline':
        indicatorsOnLine = 0;
        break;
      default:
    }
    if (flowDepth > MAX_DEPTH || indicatorsOnLine > MAX_DEPTH) throw new YamlError('exceeded max depth');
    for (const token of parser.next(lexeme)) tokens.push(token);
  }
  for (const token of parser.end()) tokens.push(token);
  if (!areWithinDepth(tokens)) throw new YamlError('exceeded max depth');
  return [...new Composer(OPTIONS).compose(tokens)] as Document.Parsed[];
}

/** Collections nested at most MAX_DEPTH deep, the document itself not counted. */
function areWithinDepth(tokens: readonly CST.Token[]): boolean {
  let level: readonly CST.Token[] = tokens;
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH + 1) return false;
    const below: CST.Token[] = [];
    for (const token of level) {
      if (token.type === 'document') {
        if (token.value !== undefined) below.push(token.value);
      } else if ('items' in token) {
        for (const { key, value } of token.items) {
          if (key !== undefined && key !== null) below.push(key);
          if (value !== undefined) below.push(value);
        }
      }
    }
    level = below;
  }
  return true;
}

function valueOf(document: Document.Parsed, lineCounter: LineCounter): JsonValue {
  const [error] = document.errors;
  if (error !== undefined) {
    const { line } = lineCounter.linePos(error.pos[0]);
    throw new YamlError(`error converting YAML to JSON: yaml: line ${line}: ${error.message}`);
  }
  try {
    const value = (document.toJS({ maxAliasCount: MAX_ALIASES }) as JsonValue | undefined) ?? null;
    if (!isWithinDepth(value, MAX_DEPTH)) throw new YamlError('exceeded max depth'); // aliases may nest
    return value;
  } catch (cause) {
    throw asYamlError(cause);
  }
}

function asYamlError(error: unknown): Error {
  if (error instanceof YamlError) return error;
  if (error instanceof ReferenceError && error.message.includes('alias'))
    return new YamlError('error converting YAML to JSON: yaml: document contains excessive aliasing');
  const message = error instanceof Error ? error.message : String(error);
  return new YamlError(`error converting YAML to JSON: yaml: ${message}`);
}

function duplicateKeys(document: Document.Parsed, lineCounter: LineCounter): readonly string[] {
  const lines: string[] = [];
  visit(document, {
    Map(_key, map) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name) && lines.length < 100) {
          const { line } = lineCounter.linePos(key.range?.[0] ?? 0);
          lines.push(`  line ${line}: key ${goQuote(name)} already set in map`);
        }
        seen.add(name);
      }
    },
  });
  if (lines.length === 0) return [];
  return [`error converting YAML to JSON: yaml: unmarshal errors:\n${lines.join('\n')}`];
}

/** With sorted keys, as `kubectl get -o yaml` and the API's `application/yaml` look. Throws YamlError beyond MAX_DEPTH. */
export function formatYaml(value: unknown): string {
  if (!isWithinDepth(value, MAX_DEPTH)) throw new YamlError('exceeded max depth');
  return stringify(value, {
    version: '1.1',
    sortMapEntries: true,
    indentSeq: false,
    lineWidth: 0,
    aliasDuplicateObjects: false,
    defaultStringType: 'PLAIN',
    customTags: kubernetesTags,
  });
}
