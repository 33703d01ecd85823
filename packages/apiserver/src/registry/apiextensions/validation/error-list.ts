import type { FieldError } from '@k8ts/apimachinery';

/** A schema of megabytes may be wrong in a hundred thousand places; that many errors help nobody. */
export const MAX_ERRORS = 1000;

/** Not by `push(...more)`: the arguments of a call are limited in number. */
export function append(errors: FieldError[], more: readonly FieldError[]): void {
  for (const error of more) errors.push(error);
}
