/** Values as messages show them (Go's `%v`), and sizes in code points. */
import { CelType } from '../language/type.ts';
import { formatDouble } from './conversion.ts';
import { formatCelDuration, formatTimestamp } from './time.ts';
import { CelDuration, CelList, CelMap, CelOptional, CelTimestamp, CelUint } from './value.ts';
import type { CelValue } from './value.ts';

const MAX_TEXT = 1000;

export function valueText(value: CelValue): string {
  switch (typeof value) {
    case 'string':
      return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}...` : value;
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'number':
      return formatDouble(value);
    default:
      break;
  }
  if (value === null) return 'null';
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatCelDuration(value);
  if (value instanceof CelType) return value.name;
  if (value instanceof CelList) return '[...]';
  if (value instanceof CelMap) return '{...}';
  if (value instanceof CelOptional)
    return value.value === undefined ? 'optional.none()' : `optional(${valueText(value.value)})`;
  if (value instanceof Uint8Array) return `[${value.subarray(0, 100).join(' ')}]`;
  return value.toText();
}

/** CEL counts code points where JavaScript counts UTF-16 units. */
export function codePointCount(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next <= 0xdfff) {
        count--;
        i++;
      }
    }
  }
  return count;
}
