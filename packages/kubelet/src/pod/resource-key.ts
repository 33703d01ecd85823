import { amounts } from '../resources/amounts.ts';
import type { Container } from './types.ts';

/** A container's cpu and memory in a form that can be compared; kept in an annotation of the running container. */
export function resourceKey({ resources }: Container): string {
  const of = (which: 'requests' | 'limits'): (number | null)[] => {
    const list = amounts(resources?.[which]);
    return [list['cpu'] ?? null, list['memory'] ?? null];
  };
  return JSON.stringify([...of('requests'), ...of('limits')]);
}
