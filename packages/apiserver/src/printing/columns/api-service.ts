import type { apiregistrationv1 } from '@k8ts/api';
import { availability } from '../../aggregation/api-service.ts';
import { ageColumn, column, nameColumn } from '../cells.ts';
import type { Column } from '../contract.ts';

type APIService = apiregistrationv1.APIService;

export const apiServiceColumns: readonly Column<APIService>[] = [
  nameColumn,
  column('Service', 'string', 'The Service that serves it.', ({ spec }) =>
    spec?.service === undefined ? 'Local' : `${spec.service.namespace ?? ''}/${spec.service.name ?? ''}`,
  ),
  column('Available', 'string', 'Whether it can be asked, and why not.', available),
  ageColumn,
];

function available(object: APIService): string {
  const { status = 'Unknown', reason = '' } = availability(object) ?? {};
  return status === 'True' || reason === '' ? status : `${status} (${reason})`;
}
