/**
 * Replaces `$(NAME)` by what `lookup` gives; unknown names stay as they are, `$$` is a dollar. A `$` before anything else
 * stays too (k8s.io/kubernetes/third_party/forked/golang/expansion).
 *
 *     expand('$(A)-$$(A)-$(B)-$x', …A=1…)  →  '1-$(A)-$(B)-$x'
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes('$')) return text;
  let result = '';
  let from = 0;
  for (let at = text.indexOf('$'); at >= 0 && at + 1 < text.length; at = text.indexOf('$', from)) {
    result += text.slice(from, at);
    const next = text[at + 1] as string;
    if (next === '(') {
      const end = text.indexOf(')', at + 2);
      if (end < 0) {
        result += '$(';
        from = at + 2;
      } else {
        const name = text.slice(at + 2, end);
        result += lookup(name) ?? `$(${name})`;
        from = end + 1;
      }
    } else {
      result += next === '$' ? '$' : `$${next}`;
      from = at + 2;
    }
  }
  return result + text.slice(from);
}

/** The names that a text refers to and nobody defines. */
export function expandStrictly(
  text: string,
  values: ReadonlyMap<string, string>,
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const expanded = expand(text, (name) => {
    const value = values.get(name);
    if (value === undefined) missing.push(name);
    return value;
  });
  return { text: expanded, missing };
}
