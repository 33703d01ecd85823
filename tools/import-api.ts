/**
 * The wire types of `@k8ts/api`, in two steps:
 *
 *     npx tsx tools/import-api.ts DIR       reference facts in DIR → packages/api/data/facts, then step two
 *     npx tsx tools/import-api.ts           packages/api/data → packages/api/src/generated
 *     npx tsx tools/import-api.ts --check   fails when packages/api/src/generated is not what step two would write
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PackageFacts } from './api/facts.ts';
import { generateApi } from './api/generate.ts';
import { importReference } from './api/import-reference.ts';

const API = join(dirname(fileURLToPath(import.meta.url)), '../packages/api');
const FACTS = join(API, 'data/facts');
const GENERATED = join(API, 'src/generated');

const argument = process.argv[2];
if (argument !== undefined && argument !== '--check') writeFacts(importReference(argument));

const wanted = generateApi(readFacts(), readJson(join(API, 'data/resources.json')));
if (argument === '--check') {
  const differing = differences(wanted);
  if (differing.length > 0) {
    console.error(`not as generated (run: npx tsx tools/import-api.ts):\n  ${differing.join('\n  ')}`);
    process.exitCode = 1;
  }
} else {
  rmSync(GENERATED, { recursive: true, force: true });
  for (const [path, text] of wanted) {
    mkdirSync(dirname(join(GENERATED, path)), { recursive: true });
    writeFileSync(join(GENERATED, path), text);
  }
}

/** One line per field, so that a change of the API reads well in a diff. */
function writeFacts(packages: readonly PackageFacts[]): void {
  rmSync(FACTS, { recursive: true, force: true });
  mkdirSync(FACTS, { recursive: true });
  for (const { types, ...head } of packages) {
    const lines = Object.entries(types).map(([name, { fields, ...rest }]) => {
      const start = `    ${JSON.stringify(name)}: ${JSON.stringify(rest)}`;
      if (fields === undefined) return start;
      const list = fields.map((field) => `\n      ${JSON.stringify(field)}`).join(',');
      return `${start.slice(0, -1)}${start.endsWith('{}') ? '' : ', '}"fields": [${list}${fields.length > 0 ? '\n    ' : ''}]}`;
    });
    const text = `{\n  ${JSON.stringify(head).slice(1, -1)},\n  "types": {\n${lines.join(',\n')}\n  }\n}\n`;
    writeFileSync(join(FACTS, `${head.file}.json`), text);
  }
}

function readFacts(): PackageFacts[] {
  const files = readdirSync(FACTS).sort();
  return files.map((file) => readJson(join(FACTS, file)) as PackageFacts);
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function differences(files: ReadonlyMap<string, string>): string[] {
  const present = readdirSync(GENERATED, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(GENERATED.length + 1));
  const stale = present.filter((path) => !files.has(path));
  const changed = [...files].filter(
    ([path, text]) => !present.includes(path) || readFileSync(join(GENERATED, path), 'utf8') !== text,
  );
  return [...stale, ...changed.map(([path]) => path)].sort();
}
