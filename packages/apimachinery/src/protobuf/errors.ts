/** Bytes that are no message of the expected type, or an object that cannot be one. The texts are those of Go's decoders. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError';
}

export const unexpectedEnd = (): ProtobufError => new ProtobufError('unexpected EOF');
