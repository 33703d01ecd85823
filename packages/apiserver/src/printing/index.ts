export type { Printing } from './contract.ts';
export { parseIncludeObject, printTable } from './print-table.ts';
