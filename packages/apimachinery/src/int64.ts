const INT64 = /^[+-]?[0-9]{1,19}$/;
const INT64_MAX = 2n ** 63n - 1n;

/** As Go's strconv.ParseInt(text, 10, 64): undefined for what is no whole number, or none of 64 bits. */
export function parseInt64(text: string): bigint | undefined {
  if (!INT64.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value > INT64_MAX || value < -INT64_MAX - 1n ? undefined : value;
}
