import { isValidPortName, type FieldError } from '@k8ts/apimachinery';
import { messages, portNumber } from '../../field-rules.ts';

/** A number, or the name of a container's port. */
export function portNumberOrName(port: number | string, path: string): FieldError[] {
  return typeof port === 'number' ? portNumber(port, path) : messages(isValidPortName(port), port, path);
}
