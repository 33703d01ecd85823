/**
 * Field selectors (`status.phase=Running,spec.nodeName!=n1`), as k8s.io/apimachinery/pkg/fields reads them. Values may
 * hold `,`, `=` and `\` behind a backslash; field names may not.
 */
import { goQuote } from './go-quote.ts';
import { SelectorError } from './labels.ts';

export interface FieldRequirement {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

/** All must hold; the empty list selects everything. */
export type FieldSelector = readonly FieldRequirement[];

/** Throws SelectorError, which the API answers with 400. */
export function parseFieldSelector(text: string): FieldSelector {
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text).sort()) {
    if (term === '') continue;
    const match = /!=|==|=/.exec(term);
    if (match === null) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    const field = term.slice(0, match.index);
    const value = unescapeValue(term.slice(match.index + match[0].length));
    if (field === '' && value === '') continue;
    requirements.push({ field, operator: match[0] === '!=' ? '!=' : '=', value });
  }
  return requirements;
}

/** `fields` holds what the resource offers to selectors; a field that is not there reads as empty. */
export function matchesFields(selector: FieldSelector, fields: Readonly<Record<string, string>>): boolean {
  for (const { field, operator, value } of selector) {
    const found = Object.hasOwn(fields, field) ? fields[field] : '';
    if ((found === value) !== (operator === '=')) return false;
  }
  return true;
}

/** The value a selector asks for exactly, where it names this field with `=`. */
export function requiresExactField(selector: FieldSelector, field: string): string | undefined {
  return selector.find((requirement) => requirement.field === field && requirement.operator === '=')?.value;
}

export function formatFieldSelector(selector: FieldSelector): string {
  return selector
    .map(({ field, operator, value }) => `${field}${operator}${escapeFieldValue(value)}`)
    .join(',');
}

function escapeFieldValue(value: string): string {
  return value.replace(/[\\,=]/g, '\\$&');
}

/** What the API says of a field that a resource does not offer to selectors. */
export function unsupportedFieldMessage(field: string): string {
  return `field label not supported: ${field}`;
}

/** The same, for kinds that only know `metadata.name` and `metadata.namespace`. */
export function unknownFieldMessage(field: string): string {
  return `${goQuote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
}

function splitTerms(text: string): string[] {
  if (text === '') return [];
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') {
      i++;
    } else if (text[i] === ',') {
      terms.push(text.slice(start, i));
      start = i + 1;
    }
  }
  terms.push(text.slice(start));
  return terms;
}

function unescapeValue(text: string): string {
  if (!/[\\,=]/.test(text)) return text;
  let value = '';
  const chars = text[Symbol.iterator]();
  for (const char of chars) {
    if (char === '\\') {
      const escaped = chars.next();
      const target: string = escaped.done === true ? '' : escaped.value;
      if (target !== '\\' && target !== ',' && target !== '=')
        throw new SelectorError(`invalid field selector: invalid escape sequence: \\${target}`);
      value += target;
    } else if (char === ',' || char === '=') {
      // Go prints the rune as a number.
      throw new SelectorError(`invalid field selector: unescaped character in value: ${char.charCodeAt(0)}`);
    } else {
      value += char;
    }
  }
  return value;
}
