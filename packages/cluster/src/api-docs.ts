import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadDocs } from '@k8ts/api';
import type { ApiDocs } from '@k8ts/api';

/** Where the build puts the descriptions: seen from the bundle, and from the sources. */
const PLACES = ['../api-docs.json', '../../../dist/api-docs.json'].map(
  (place) => new URL(place, import.meta.url),
);

/** The texts of `kubectl explain`; none where the program was built without them. */
export function apiDocs(): ApiDocs {
  const place = PLACES.find((url) => existsSync(url)) ?? (PLACES[0] as URL);
  return loadDocs(fileURLToPath(place));
}
