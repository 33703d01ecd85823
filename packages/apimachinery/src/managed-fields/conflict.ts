/** Apply conflicts, in upstream's words (k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go). */
import { goQuote } from '../go-quote.ts';
import { applyConflict } from '../status-error.ts';
import type { StatusError } from '../status-error.ts';
import { forEachPath } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import type { ManagedFieldsEntry } from './managers.ts';

/** Fields that the request would change and another manager owns. */
export interface ManagerConflict {
  readonly entry: ManagedFieldsEntry;
  readonly fields: FieldSet;
}

/** 409 with one cause per field. `conflicts` is not empty. */
export function applyConflictError(conflicts: readonly ManagerConflict[]): StatusError {
  const groups = conflicts
    .map(({ entry, fields }) => {
      const paths: string[] = [];
      forEachPath(fields, (path) => paths.push(path));
      return { manager: describeManager(entry), paths };
    })
    .sort((a, b) => (a.manager < b.manager ? -1 : 1));
  const causes = groups.flatMap(({ manager, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${manager}`, field })),
  );
  const [first] = causes;
  if (causes.length === 1 && first !== undefined)
    return applyConflict(`Apply failed with 1 conflict: ${first.message}: ${first.field}`, causes);
  const lines = groups.flatMap(({ manager, paths }) => [
    `conflicts with ${manager}:`,
    ...paths.map((path) => `- ${path}`),
  ]);
  return applyConflict(`Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`, causes);
}

function describeManager({
  manager = '',
  operation,
  apiVersion,
  subresource = '',
}: ManagedFieldsEntry): string {
  const name =
    subresource === '' ? goQuote(manager) : `${goQuote(manager)} with subresource ${goQuote(subresource)}`;
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}
