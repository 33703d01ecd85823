export { defaultColumns } from './cells.ts';
export { humanDuration, timeSince } from './human-duration.ts';
export { parseIncludeObject, partialObjectMetadata, printStatusTable, printTable } from './print-table.ts';
export type {
  IncludeObject,
  Printing,
  Table,
  TableColumnDefinition,
  TableMeta,
  TableOptions,
  TableRow,
  TableRowCondition,
} from './print-table.ts';
