import { isDeepStrictEqual } from 'node:util';

import type { corev1 } from '@k8ts/api';

/** The label that tells the pods of one template from those of another. */
export const TEMPLATE_HASH = 'pod-template-hash';

/** Whether two templates describe the same pods; the hash label itself does not count. */
export function equalTemplates(
  a: corev1.PodTemplateSpec | undefined,
  b: corev1.PodTemplateSpec | undefined,
): boolean {
  return isDeepStrictEqual(comparable(a), comparable(b));
}

/** Without the hash, and with absent and empty the same. Both have the server's defaults. */
function comparable(template: corev1.PodTemplateSpec | undefined): unknown {
  if (template === undefined) return undefined;
  const { labels = {}, annotations = {}, finalizers = [], name } = template.metadata ?? {};
  const { [TEMPLATE_HASH]: _hash, ...ownLabels } = labels;
  return { name, labels: ownLabels, annotations, finalizers, spec: template.spec };
}

// Upstream's alphabet for generated names: no vowels and no 0, 1, 3, so no words and no look-alikes.
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/**
 * The value of the hash label: 32 bits of FNV-1a over the template as canonical JSON, in upstream's form (each digit of
 * the decimal number becomes a letter). The number is not upstream's, whose input is a dump of a Go structure: it only has
 * to be the same for the same template. `collisions` counts names that were taken by something else.
 */
export function templateHash(template: corev1.PodTemplateSpec, collisions: number | undefined): string {
  let hash = fnv1a(0x811c9dc5, canonicalJson(template));
  if (collisions !== undefined) hash = fnv1a(hash, `#${collisions}`);
  let text = '';
  for (const digit of String(hash >>> 0)) text += ALPHABET[digit.charCodeAt(0) % ALPHABET.length];
  return text;
}

function fnv1a(seed: number, text: string): number {
  let hash = seed;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

/** JSON whose object keys are sorted. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
