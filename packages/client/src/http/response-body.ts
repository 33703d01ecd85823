/** JSON, or the text itself where the server answers in plain text (`/healthz`, logs). */
export function decodeBody<T>(text: string): T {
  if (text === '') return undefined as T;
  const first = text.charCodeAt(0);
  if (first !== 0x7b && first !== 0x5b) return text as T;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text as T;
  }
  nameListItems(value);
  return value as T;
}

/** The items of a list of a built-in kind come without apiVersion and kind; a single object has them. Here all do. */
function nameListItems(value: unknown): void {
  const list = value as { kind?: unknown; apiVersion?: unknown; items?: unknown };
  if (typeof list.kind !== 'string' || !list.kind.endsWith('List') || !Array.isArray(list.items)) return;
  const kind = list.kind.slice(0, -4);
  if (kind === '') return; // the untyped List, whose items name themselves
  for (const item of list.items as ({ kind?: unknown; apiVersion?: unknown } | null)[]) {
    if (item === null || typeof item !== 'object' || item.kind !== undefined) continue;
    item.apiVersion = list.apiVersion;
    item.kind = kind;
  }
}
