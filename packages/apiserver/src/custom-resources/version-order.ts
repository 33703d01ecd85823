const VERSION = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/;
const MATURITY: Readonly<Record<string, number>> = { alpha: 1, beta: 2 };

/**
 * The preferred version first: v10, v2, v1, v11beta2, v10beta3, v3beta1, v12alpha1, foo1, foo10
 * (k8s.io/apimachinery/pkg/version: CompareKubeAwareVersionStrings).
 */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [parse(a), parse(b)];
  if (left === undefined || right === undefined)
    return left !== undefined ? -1 : right !== undefined ? 1 : a < b ? -1 : 1;
  for (let at = 0; at < left.length; at++) {
    const difference = (right[at] as number) - (left[at] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Maturity, major, minor. */
function parse(version: string): readonly number[] | undefined {
  const match = VERSION.exec(version);
  if (match === null) return undefined;
  const [, major, stage, minor] = match;
  return [stage === undefined ? 3 : (MATURITY[stage] as number), Number(major), Number(minor ?? 0)];
}
