export { describeStoreContract } from './store-contract.ts';
export type { OpenTestStore, StoreContractOptions, TestStore } from './store-contract.ts';
export { StoreModel } from './store-model.ts';
