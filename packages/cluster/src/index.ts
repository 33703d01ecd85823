export { Cluster } from './cluster.ts';
export type { ClusterOptions } from './cluster.ts';
// What a test needs beside it comes through the same door, since the program is one package to its users.
export { realClock, seededRandom, VirtualClock } from '@k8ts/base';
export type { Clock, Logger, Random } from '@k8ts/base';
export type { Client, ResourceClient } from '@k8ts/client';
export * from '@k8ts/api';
