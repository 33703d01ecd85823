import { StatusError } from '@k8ts/apimachinery';

/** The object could not be created because its namespace is being deleted: there is no use in trying again. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    error instanceof StatusError &&
    error.status.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') === true
  );
}
