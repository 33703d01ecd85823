import { parseTime } from '@k8ts/apimachinery';

/** Milliseconds since the epoch of a time of the API; undefined for what is absent or no time. */
export function fromWireTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseTime(text);
  } catch {
    return undefined;
  }
}
