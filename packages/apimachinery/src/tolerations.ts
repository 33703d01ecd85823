import type { corev1 } from '@k8ts/api';
import { parseInt64 } from './int64.ts';

/** As toleration and taint values are spelled that are compared: no plus sign, no leading zeros. */
const DECIMAL_INTEGER = /^(0|-?[1-9][0-9]*)$/;

/**
 * Whether a pod with this toleration may be where the taint is: an empty key with Exists tolerates all, an empty effect
 * every effect (Toleration.ToleratesTaint in k8s.io/api/core/v1/toleration.go).
 */
export function toleratesTaint(
  { key, operator, value = '', effect }: corev1.Toleration,
  taint: Pick<corev1.Taint, 'key' | 'value' | 'effect'>,
): boolean {
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  switch (operator || 'Equal') {
    case 'Equal':
      return value === (taint.value ?? '');
    case 'Exists':
      return true;
    case 'Lt':
    case 'Gt': {
      const have = decimalInteger(taint.value ?? '');
      const bound = decimalInteger(value);
      if (have === undefined || bound === undefined) return false;
      return operator === 'Lt' ? have < bound : have > bound;
    }
    default:
      return false;
  }
}

function decimalInteger(text: string): bigint | undefined {
  return DECIMAL_INTEGER.test(text) ? parseInt64(text) : undefined;
}
