import type { Labels } from '../contract.ts';

/** CRI label selectors ask for equality only. */
export function matchesLabels(labels: Labels, selector: Labels | undefined): boolean {
  if (selector === undefined) return true;
  for (const key of Object.keys(selector)) {
    if (labels[key] !== selector[key]) return false;
  }
  return true;
}
