import type { JsonValue } from '../json.ts';
import type { FieldError } from '../status-error.ts';
import {
  child,
  goJson,
  invalidValue,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
} from '../validation/field-errors.ts';

/** What the validator found, before it is known whether it will be shown. */
export interface Fault {
  /** `plain`: of no field, as upstream has it: the message names the path. */
  readonly kind: 'required' | 'invalid' | 'type' | 'enum' | 'tooLong' | 'tooMany' | 'plain';
  /** With a leading dot where upstream puts one: `.spec` when `spec` is missing. */
  readonly path: string;
  readonly message: string;
  readonly value: JsonValue;
  readonly limit?: number;
  readonly allowed?: readonly JsonValue[];
}

export type Faults = Fault[];

/** A list of a million wrong items has a million faults; that many help nobody. */
const MAX_FAULTS = 1000;
/** What Go prints for a path that is not there. */
const NO_PATH = '<nil>';

export function addFault(faults: Faults, fault: Fault): void {
  if (faults.length < MAX_FAULTS) faults.push(fault);
}

/** The same message twice is one error. */
export function toFieldErrors(faults: Faults, base: string): FieldError[] {
  const seen = new Set<string>();
  const errors: FieldError[] = [];
  for (const fault of faults) {
    if (seen.has(fault.message)) continue;
    seen.add(fault.message);
    errors.push(toFieldError(fault, base));
  }
  return errors;
}

function toFieldError(
  { kind, path, message, value, limit = -1, allowed = [] }: Fault,
  base: string,
): FieldError {
  const name = path.startsWith('.') ? path.slice(1) : path;
  const at = (name === '' ? base : child(base, name)) || NO_PATH;
  switch (kind) {
    case 'required':
      return required(at, '');
    case 'enum':
      return notSupported(
        at,
        value,
        allowed.map((item) => (typeof item === 'string' ? item : goJson(item))),
      );
    case 'tooLong':
      return tooLong(at, limit);
    case 'tooMany':
      return tooMany(at, value as number, limit);
    case 'type':
      return typeInvalid(at, value, message);
    case 'invalid':
      return invalidValue(at, value, message);
    case 'plain':
      return invalidValue(base || NO_PATH, '', message);
  }
}
