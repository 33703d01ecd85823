export * from './status-error.ts';
export { goQuote, isPrintable } from './go-quote.ts';
export * from './validation/field-errors.ts';
export * from './validation/names.ts';
export * from './validation/object-meta.ts';
export * from './group-version.ts';
export * from './labels.ts';
export * from './fields.ts';
