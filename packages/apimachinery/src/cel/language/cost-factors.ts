/** The units that costs are counted in (cel-go's common/cost.go). */
export const LIST_COST = 10;
export const MAP_COST = 30;
export const STRUCT_COST = 40;
/** An authorization check: two of them fit into one evaluation. */
export const AUTHORIZATION_CHECK_COST = 350_000;
/** For each character that is read or written. */
export const TRAVERSAL_FACTOR = 0.1;
/** For each character of a pattern. */
export const REGEX_FACTOR = 0.25;

/** Of reading a selector: a requirement takes two characters at least. */
export function selectorCost(length: number): number {
  return (
    LIST_COST + Math.ceil(length * TRAVERSAL_FACTOR) + Math.ceil(length * 0.5) * (LIST_COST + STRUCT_COST)
  );
}
