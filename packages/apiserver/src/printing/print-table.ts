/**
 * Server-side printing: objects and columns become a meta.k8s.io Table, which `kubectl get` shows as it is. All columns
 * are sent; the client leaves out those with a priority unless it was asked for `-o wide`.
 */
import type { KubeObject } from '@k8ts/api';
import { badRequest } from '@k8ts/apimachinery';
import type { Column } from '../registry/contract.ts';
import { defaultColumns } from './cells.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface Table {
  readonly kind: 'Table';
  readonly apiVersion: string;
  readonly metadata: TableMeta;
  readonly columnDefinitions: readonly TableColumnDefinition[] | null;
  readonly rows: readonly TableRow[];
}

export interface TableMeta {
  readonly resourceVersion?: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export interface TableColumnDefinition {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

export interface TableRow {
  readonly cells: readonly (string | number | boolean | null)[];
  readonly conditions?: readonly TableRowCondition[];
  readonly object?: object | null;
}

export interface TableRowCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface TableOptions {
  /** `v1` or `v1beta1` of meta.k8s.io. */
  readonly version?: string;
  /** What `row.object` holds; the default is `Metadata`. */
  readonly includeObject?: IncludeObject;
  readonly noHeaders?: boolean;
  /** Wall-clock milliseconds that ages count from. */
  readonly now: number;
  readonly metadata?: TableMeta;
}

/** What a kind says about printing its objects. */
export interface Printing<T extends KubeObject> {
  readonly columns?: readonly Column<T>[];
  readonly rowConditions?: (object: T) => readonly TableRowCondition[] | undefined;
}

const INCLUDE_OBJECT: readonly string[] = ['None', 'Metadata', 'Object'];

/** Reads the query parameter `includeObject`. Throws 400 for what it may not be. */
export function parseIncludeObject(value: string | undefined): IncludeObject {
  if (value === undefined || value === '') return 'Metadata';
  if (!INCLUDE_OBJECT.includes(value)) throw badRequest(`unrecognized includeObject value: "${value}"`);
  return value as IncludeObject;
}

export function printTable<T extends KubeObject>(
  objects: readonly T[],
  { columns = defaultColumns, rowConditions }: Printing<T>,
  options: TableOptions,
): Table {
  const { includeObject = 'Metadata', noHeaders = false, version = 'v1', now, metadata = {} } = options;
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    columnDefinitions: noHeaders ? null : columnDefinitions(columns),
    rows: objects.map((object) => {
      const conditions = rowConditions?.(object);
      return {
        cells: columns.map((column) => column.cell(object, now)),
        ...(conditions === undefined ? {} : { conditions }),
        object: rowObject(object, includeObject, version),
      };
    }),
  };
}

function columnDefinitions<T extends KubeObject>(columns: readonly Column<T>[]): TableColumnDefinition[] {
  return columns.map(({ name, type, format = '', description, priority }) => ({
    name,
    type,
    format,
    description,
    priority,
  }));
}

function rowObject(object: KubeObject, includeObject: IncludeObject, version: string): object | null {
  if (includeObject === 'None') return null;
  if (includeObject === 'Object') return object;
  return partialObjectMetadata(object, version);
}

/** An object without anything but its metadata. */
export function partialObjectMetadata(object: KubeObject, version = 'v1'): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}

const STATUS_COLUMNS: readonly TableColumnDefinition[] = [
  { name: 'Status', type: 'string', format: '', description: 'Success or Failure.', priority: 0 },
  {
    name: 'Reason',
    type: 'string',
    format: '',
    description: 'Why the operation failed, in one word.',
    priority: 0,
  },
  { name: 'Message', type: 'string', format: '', description: 'What happened, for people.', priority: 0 },
];

/** A Status as a table, for clients that asked for one and nothing else. */
export function printStatusTable(
  status: { readonly status?: string; readonly reason?: string; readonly message?: string },
  version = 'v1',
): Table {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata: {},
    columnDefinitions: STATUS_COLUMNS,
    rows: [
      { cells: [status.status ?? '', status.reason ?? '', status.message ?? ''], object: { ...status } },
    ],
  };
}
