/** Counts that may be shares (`maxSurge: 25%`). */
import { intValueOf, invalidValue, isValidPercent, type FieldError } from '@k8ts/apimachinery';
import { messages, notNegative } from './field-rules.ts';

export type IntOrPercent = number | string;

export function validateIntOrPercent(value: IntOrPercent, path: string): FieldError[] {
  return typeof value === 'string' ? messages(isValidPercent(value), value, path) : notNegative(value, path);
}

export function isNotMoreThan100Percent(value: IntOrPercent, path: string): FieldError[] {
  return (percentOf(value) ?? 0) > 100 ? [invalidValue(path, value, 'must not be greater than 100%')] : [];
}

/** The number before the percent sign, or the number itself: good enough to tell whether it is zero. */
export function amountOf(value: IntOrPercent): number {
  return percentOf(value) ?? intValueOf(value);
}

function percentOf(value: IntOrPercent): number | undefined {
  return typeof value === 'string' && isValidPercent(value).length === 0
    ? Number(value.slice(0, -1))
    : undefined;
}
