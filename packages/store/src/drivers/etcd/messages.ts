import * as protobufModule from 'protobufjs/light.js';

/**
 * The messages of etcd's v3 API that this driver exchanges: packages `etcdserverpb` and `mvccpb`
 * (etcd-io/etcd api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto). Field numbers are the wire format.
 */

// A CommonJS module: its exports are on `default` where Node loads it, and spread where a bundler does.
const { Root } = (protobufModule as { default?: typeof protobufModule }).default ?? protobufModule;

export interface Long {
  readonly low: number;
  readonly high: number;
}

/** What decoding gives for 64-bit numbers, and what encoding takes. */
export type Int64 = Long | number;

interface ResponseHeader {
  readonly clusterId: Int64;
  readonly revision: Int64;
}

export interface WireKeyValue {
  readonly key: Buffer;
  readonly createRevision: Int64;
  readonly modRevision: Int64;
  readonly version: Int64;
  readonly value: Buffer;
  readonly lease: Int64;
}

interface WireEvent {
  /** 0: put, 1: delete. */
  readonly type: number;
  readonly kv: WireKeyValue;
  readonly prevKv: WireKeyValue | null;
}

export interface RangeRequestMessage {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
  readonly limit?: number;
  readonly revision?: number;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
}

export interface RangeResponseMessage {
  readonly header: ResponseHeader;
  readonly kvs: readonly WireKeyValue[];
  readonly more: boolean;
  readonly count: Int64;
}

export interface RequestOpMessage {
  readonly requestRange?: RangeRequestMessage;
  readonly requestPut?: { readonly key: Uint8Array; readonly value: Uint8Array; readonly lease?: Int64 };
  readonly requestDeleteRange?: { readonly key: Uint8Array };
}

export interface TxnRequestMessage {
  readonly compare: readonly {
    readonly result: number;
    readonly target: number;
    readonly key: Uint8Array;
    readonly modRevision: number;
  }[];
  readonly success: readonly RequestOpMessage[];
  readonly failure: readonly RequestOpMessage[];
}

export interface TxnResponseMessage {
  readonly header: ResponseHeader;
  readonly succeeded: boolean;
  readonly responses: readonly { readonly responseRange?: RangeResponseMessage }[];
}

export interface WatchRequestMessage {
  readonly createRequest?: {
    readonly key: Uint8Array;
    readonly rangeEnd: Uint8Array;
    readonly startRevision: number;
    readonly progressNotify: boolean;
    readonly prevKv: boolean;
    readonly watchId: number;
  };
  readonly cancelRequest?: { readonly watchId: number };
  readonly progressRequest?: Record<string, never>;
}

export interface WatchResponseMessage {
  readonly header: ResponseHeader;
  readonly watchId: Int64;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: Int64;
  readonly cancelReason: string;
  readonly events: readonly WireEvent[];
}

export interface LeaseMessage {
  readonly ID: Int64;
  readonly TTL: Int64;
  readonly grantedTTL: Int64;
  readonly keys: readonly Buffer[];
}

/** Comparing for equality, of the modification revision. */
export const COMPARE_EQUAL = 0;
export const COMPARE_MOD = 2;

type Fields = Record<string, readonly [type: string, id: number, rule?: 'repeated']>;

function message(fields: Fields, oneof?: readonly string[]): object {
  const entries = Object.entries(fields).map(([name, [type, id, rule]]) => [
    name,
    rule === undefined ? { type, id } : { type, id, rule },
  ]);
  return {
    fields: Object.fromEntries(entries) as object,
    ...(oneof === undefined ? {} : { oneofs: { choice: { oneof } } }),
  };
}

const HEADER = ['ResponseHeader', 1] as const;

const root = Root.fromJSON({
  nested: {
    ResponseHeader: message({ clusterId: ['uint64', 1], memberId: ['uint64', 2], revision: ['int64', 3] }),
    KeyValue: message({
      key: ['bytes', 1],
      createRevision: ['int64', 2],
      modRevision: ['int64', 3],
      version: ['int64', 4],
      value: ['bytes', 5],
      lease: ['int64', 6],
    }),
    Event: message({ type: ['int32', 1], kv: ['KeyValue', 2], prevKv: ['KeyValue', 3] }),
    RangeRequest: message({
      key: ['bytes', 1],
      rangeEnd: ['bytes', 2],
      limit: ['int64', 3],
      revision: ['int64', 4],
      keysOnly: ['bool', 8],
      countOnly: ['bool', 9],
    }),
    RangeResponse: message({
      header: HEADER,
      kvs: ['KeyValue', 2, 'repeated'],
      more: ['bool', 3],
      count: ['int64', 4],
    }),
    PutRequest: message({ key: ['bytes', 1], value: ['bytes', 2], lease: ['int64', 3] }),
    DeleteRangeRequest: message({ key: ['bytes', 1], rangeEnd: ['bytes', 2] }),
    RequestOp: message(
      {
        requestRange: ['RangeRequest', 1],
        requestPut: ['PutRequest', 2],
        requestDeleteRange: ['DeleteRangeRequest', 3],
      },
      ['requestRange', 'requestPut', 'requestDeleteRange'],
    ),
    ResponseOp: message({ responseRange: ['RangeResponse', 1] }),
    Compare: message({
      result: ['int32', 1],
      target: ['int32', 2],
      key: ['bytes', 3],
      modRevision: ['int64', 6],
    }),
    TxnRequest: message({
      compare: ['Compare', 1, 'repeated'],
      success: ['RequestOp', 2, 'repeated'],
      failure: ['RequestOp', 3, 'repeated'],
    }),
    TxnResponse: message({
      header: HEADER,
      succeeded: ['bool', 2],
      responses: ['ResponseOp', 3, 'repeated'],
    }),
    CompactionRequest: message({ revision: ['int64', 1], physical: ['bool', 2] }),
    CompactionResponse: message({ header: HEADER }),
    WatchCreateRequest: message({
      key: ['bytes', 1],
      rangeEnd: ['bytes', 2],
      startRevision: ['int64', 3],
      progressNotify: ['bool', 4],
      prevKv: ['bool', 6],
      watchId: ['int64', 7],
    }),
    WatchCancelRequest: message({ watchId: ['int64', 1] }),
    WatchProgressRequest: message({}),
    WatchRequest: message(
      {
        createRequest: ['WatchCreateRequest', 1],
        cancelRequest: ['WatchCancelRequest', 2],
        progressRequest: ['WatchProgressRequest', 3],
      },
      ['createRequest', 'cancelRequest', 'progressRequest'],
    ),
    WatchResponse: message({
      header: HEADER,
      watchId: ['int64', 2],
      created: ['bool', 3],
      canceled: ['bool', 4],
      compactRevision: ['int64', 5],
      cancelReason: ['string', 6],
      events: ['Event', 11, 'repeated'],
    }),
    LeaseGrantRequest: message({ TTL: ['int64', 1], ID: ['int64', 2] }),
    LeaseGrantResponse: message({ header: HEADER, ID: ['int64', 2], TTL: ['int64', 3] }),
    LeaseRevokeRequest: message({ ID: ['int64', 1] }),
    LeaseRevokeResponse: message({ header: HEADER }),
    LeaseKeepAliveRequest: message({ ID: ['int64', 1] }),
    LeaseKeepAliveResponse: message({ header: HEADER, ID: ['int64', 2], TTL: ['int64', 3] }),
    LeaseTimeToLiveRequest: message({ ID: ['int64', 1], keys: ['bool', 2] }),
    LeaseTimeToLiveResponse: message({
      header: HEADER,
      ID: ['int64', 2],
      TTL: ['int64', 3],
      grantedTTL: ['int64', 4],
      keys: ['bytes', 5, 'repeated'],
    }),
    LeaseLeasesRequest: message({}),
    LeaseStatus: message({ ID: ['int64', 1] }),
    LeaseLeasesResponse: message({ header: HEADER, leases: ['LeaseStatus', 2, 'repeated'] }),
    StatusRequest: message({}),
    StatusResponse: message({ header: HEADER, version: ['string', 2] }),
  },
});

/** One procedure of etcd's API, as grpc-js wants it. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly serialize: (request: Request) => Buffer;
  readonly deserialize: (bytes: Buffer) => Response;
}

function method<Request, Response>(
  path: string,
  request: string,
  response: string,
): Method<Request, Response> {
  const requestType = root.lookupType(request);
  const responseType = root.lookupType(response);
  return {
    path: `/etcdserverpb.${path}`,
    serialize: (value) => requestType.encode(value as Record<string, unknown>).finish() as Buffer,
    deserialize: (bytes) => responseType.decode(bytes) as unknown as Response,
  };
}

type Empty = Record<string, never>;
interface WithHeader {
  readonly header: ResponseHeader;
}
interface LeaseId {
  readonly ID: Int64;
}

export const RANGE: Method<RangeRequestMessage, RangeResponseMessage> = method(
  'KV/Range',
  'RangeRequest',
  'RangeResponse',
);
export const TXN: Method<TxnRequestMessage, TxnResponseMessage> = method(
  'KV/Txn',
  'TxnRequest',
  'TxnResponse',
);
export const COMPACT: Method<{ readonly revision: number }, WithHeader> = method(
  'KV/Compact',
  'CompactionRequest',
  'CompactionResponse',
);
export const WATCH: Method<WatchRequestMessage, WatchResponseMessage> = method(
  'Watch/Watch',
  'WatchRequest',
  'WatchResponse',
);
export const LEASE_GRANT: Method<LeaseId & { readonly TTL: number }, LeaseMessage> = method(
  'Lease/LeaseGrant',
  'LeaseGrantRequest',
  'LeaseGrantResponse',
);
export const LEASE_REVOKE: Method<LeaseId, WithHeader> = method(
  'Lease/LeaseRevoke',
  'LeaseRevokeRequest',
  'LeaseRevokeResponse',
);
export const LEASE_KEEP_ALIVE: Method<LeaseId, LeaseMessage> = method(
  'Lease/LeaseKeepAlive',
  'LeaseKeepAliveRequest',
  'LeaseKeepAliveResponse',
);
export const LEASE_TIME_TO_LIVE: Method<LeaseId & { readonly keys: boolean }, LeaseMessage> = method(
  'Lease/LeaseTimeToLive',
  'LeaseTimeToLiveRequest',
  'LeaseTimeToLiveResponse',
);
export const LEASE_LEASES: Method<Empty, { readonly leases: readonly LeaseId[] }> = method(
  'Lease/LeaseLeases',
  'LeaseLeasesRequest',
  'LeaseLeasesResponse',
);
export const STATUS: Method<Empty, WithHeader & { readonly version: string }> = method(
  'Maintenance/Status',
  'StatusRequest',
  'StatusResponse',
);

/** Revisions and counts: exact up to 2^53. */
export function toNumber(value: Int64): number {
  return typeof value === 'number' ? value : value.high * 2 ** 32 + (value.low >>> 0);
}

export function toBigInt(value: Int64): bigint {
  return typeof value === 'number' ? BigInt(value) : (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

export function fromBigInt(value: bigint): Long {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
}
