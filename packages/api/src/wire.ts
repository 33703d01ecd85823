/** The scalars of the wire format that JSON has no type for. */

/** A fixed-point number with a suffix, `"250m"` or `"1Gi"`. Input may use JSON numbers; the API always answers strings. */
export type Quantity = string;
/** A port or an amount as a number, or a name or percentage as a string. */
export type IntOrString = number | string;
/** RFC 3339 in whole seconds: `"2026-01-31T12:00:00Z"`. */
export type Time = string;
/** RFC 3339 with six decimals: `"2026-01-31T12:00:00.000000Z"`. */
export type MicroTime = string;
/** Go's notation: `"1m30s"`. */
export type Duration = string;
/** base64. */
export type Bytes = string;
/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** Any object, usually with apiVersion and kind. */
export type RawExtension = object;
/** A tree of `f:name`, `k:{…}`, `v:…` and `.` keys, as server-side apply keeps it. */
export interface FieldsV1 {
  readonly [path: string]: FieldsV1;
}
/** A string with values one should know of; others are legal. */
export type OpenEnum<Known extends string> = Known | (string & Record<never, never>);
