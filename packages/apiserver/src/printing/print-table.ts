/**
 * Server-side printing: objects and columns become a meta.k8s.io Table, which `kubectl get` shows as it is. All columns
 * are sent; the client leaves out those with a priority unless it was asked for `-o wide`.
 */
import type { KubeObject } from '@k8ts/api';
import { badRequest } from '@k8ts/apimachinery';
import { defaultColumns } from './cells.ts';
import type { Column, Printing, TableRowCondition } from './contract.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface Table {
  readonly kind: 'Table';
  readonly apiVersion: string;
  readonly metadata: TableMeta;
  readonly columnDefinitions: readonly TableColumnDefinition[] | null;
  readonly rows: readonly TableRow[];
}

interface TableMeta {
  readonly resourceVersion?: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

interface TableColumnDefinition {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

interface TableRow {
  readonly cells: readonly (string | number | boolean | null)[];
  readonly conditions?: readonly TableRowCondition[];
  readonly object?: object | null;
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
function partialObjectMetadata(object: KubeObject, version: string): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
