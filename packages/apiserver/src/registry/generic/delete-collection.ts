import { isNotFound } from '@k8ts/apimachinery';
import type { ListResult } from '../../request/result.ts';
import { deleteObject, type DeleteOptions } from './delete.ts';
import { list, recordsOf, type ListScope } from './list.ts';
import type { ListParameters } from './options.ts';
import type { WriteScope } from './scope.ts';

/** So many deletions of one request are under way at the same time; they share the store's syncs. */
const WORKERS = 16;

/**
 * Deletes what a list of these parameters shows, each object as a DELETE of its own, and answers with the list. Not
 * atomic: the first error ends it, and what was deleted by then stays deleted.
 */
export async function deleteCollection(
  listScope: ListScope,
  writeScope: WriteScope,
  parameters: ListParameters,
  options: DeleteOptions,
): Promise<ListResult> {
  const result = await list(listScope, parameters);
  const records = recordsOf(result);
  const worker = async (): Promise<void> => {
    for (let next = records.next(); !next.done; next = records.next()) {
      const { namespace, name } = next.value;
      try {
        await deleteObject({ ...writeScope, namespace, name }, options);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  };
  const failures: unknown[] = [];
  await Promise.all(
    Array.from({ length: WORKERS }, () => worker().catch((error: unknown) => failures.push(error))),
  );
  if (failures.length > 0) throw failures[0] as Error;
  return result;
}
