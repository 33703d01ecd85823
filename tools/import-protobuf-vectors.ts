/**
 * Packs upstream's serialisation test vectors (k8s.io/api/testdata/HEAD: every kind as JSON and as protobuf) into one file
 * for the tests of the protobuf codec:
 *
 *     npx tsx tools/import-protobuf-vectors.ts DIR
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: import-protobuf-vectors.ts DIR');
const vectors: Record<string, { readonly json: unknown; readonly protobuf: string }> = {};
for (const file of readdirSync(directory).sort()) {
  if (!file.endsWith('.pb')) continue;
  const name = file.slice(0, -'.pb'.length);
  vectors[name] = {
    json: JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8')),
    protobuf: readFileSync(join(directory, file)).toString('base64'),
  };
}
const output = join(
  dirname(fileURLToPath(import.meta.url)),
  '../packages/apimachinery/testdata/protobuf-vectors.json.br',
);
// The vectors repeat each other over long distances: a window as large as the file makes it a tenth of what gzip does.
writeFileSync(
  output,
  brotliCompressSync(JSON.stringify(vectors), { params: { [constants.BROTLI_PARAM_LGWIN]: 22 } }),
);
