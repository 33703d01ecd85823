import type { Store } from './contract.ts';
import type { EtcdStoreOptions } from './drivers/etcd/etcd-store.ts';
import type { LmdbStoreOptions } from './drivers/lmdb/lmdb-store.ts';

// The drivers bring libraries that take tens of milliseconds to load, so each is loaded when it is first asked for.

/** See drivers/lmdb/lmdb-store.ts. */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const driver = await import('./drivers/lmdb/lmdb-store.ts');
  return driver.openLmdbStore(options);
}

/** See drivers/etcd/etcd-store.ts. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const driver = await import('./drivers/etcd/etcd-store.ts');
  return driver.openEtcdStore(options);
}
