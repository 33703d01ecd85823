import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadDocs, noDocs } from '@k8ts/api';
import type { ApiDocs } from '@k8ts/api';

/** Where the build puts the descriptions: seen from the bundle, and from the sources. */
const PLACES = ['../api-docs.json', '../../../dist/api-docs.json'];

/** The texts of `kubectl explain`; none where the program was built without them. */
export function apiDocs(): ApiDocs {
  const place = PLACES.map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url));
  return place === undefined ? noDocs : loadDocs(fileURLToPath(place));
}
