export * from './contract.ts';
export { createMemoryStore } from './drivers/memory/memory-store.ts';
export type { MemoryStoreOptions } from './drivers/memory/memory-store.ts';
