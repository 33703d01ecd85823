/**
 * The JSON text of an object, list or table without `metadata.managedFields`, its own and those of its items and rows
 * (k8s.io/apiserver/pkg/audit/request.go: copyWithoutManagedFields).
 */
export function withoutManagedFields(json: string): string {
  if (!json.includes('"managedFields"')) return json;
  const value: unknown = JSON.parse(json);
  const { items, rows } = value as { items?: unknown; rows?: unknown };
  strip(value);
  if (Array.isArray(items)) items.forEach(strip);
  if (Array.isArray(rows)) for (const row of rows) strip((row as { object?: unknown } | null)?.object);
  return JSON.stringify(value);
}

function strip(object: unknown): void {
  const metadata = (object as { metadata?: { managedFields?: unknown } | null } | null | undefined)?.metadata;
  if (typeof metadata === 'object' && metadata !== null) delete metadata.managedFields;
}
