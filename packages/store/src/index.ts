export * from './contract.ts';
export { createMemoryStore } from './drivers/memory/memory-store.ts';
export type { MemoryStoreOptions } from './drivers/memory/memory-store.ts';
export { openEtcdStore, openLmdbStore } from './open-store.ts';
export type { EtcdTls } from './drivers/etcd/connection.ts';
export type { EtcdStoreOptions } from './drivers/etcd/etcd-store.ts';
export type { LmdbStoreOptions } from './drivers/lmdb/lmdb-store.ts';
