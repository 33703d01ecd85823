export { decodeProtobufMessage } from './decode.ts';
export type { DecodeLimits } from './decode.ts';
export { encodeProtobufMessage } from './encode.ts';
export {
  decodeProtobuf,
  encodeProtobuf,
  encodeProtobufWatchFrame,
  PROTOBUF_MAGIC,
  readProtobufEnvelope,
} from './envelope.ts';
export type { ProtobufEnvelope } from './envelope.ts';
export { ProtobufError } from './errors.ts';
export { hasProtobuf } from './plan.ts';
