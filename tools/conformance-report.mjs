// Which of upstream's conformance tests have a test of ours: those whose codename is the name of one in tests/.
//   usage: conformance-report.mjs [--missing] [--json]
// With --missing: those that have none. Ends with an error where a test is named like a codename that does not exist.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const TESTS = fileURLToPath(new URL('../tests', import.meta.url));
const LIST = join(TESTS, 'conformance', 'conformance-1.36.tsv');
/** A test whose name begins with the name of a special interest group, in any quotes. */
const NAME = /\bit\(\s*(['"`])(\[sig-(?:\\.|(?!\1)[^\\])*)\1/g;

/** @returns {{ file: string, codename: string, tests: string[] }[]} in upstream's order */
export function conformanceCoverage() {
  const rows = readFileSync(LIST, 'utf8').trimEnd().split('\n').slice(1);
  const entries = rows.map((row) => {
    const [file, codename] = row.split('\t');
    return { file, codename, tests: [] };
  });
  const byName = new Map(entries.map((entry) => [entry.codename, entry]));
  const unknown = [];
  for (const { path, name } of testNames()) {
    const entry = byName.get(name);
    if (entry === undefined) unknown.push(`${path}: ${name}`);
    else entry.tests.push(path);
  }
  if (unknown.length > 0) throw new Error(`no conformance test has these names:\n${unknown.join('\n')}`);
  return entries;
}

function* testNames() {
  for (const file of readdirSync(TESTS, { recursive: true })) {
    if (!file.endsWith('.ts')) continue;
    const source = readFileSync(join(TESTS, file), 'utf8');
    for (const [, , name] of source.matchAll(NAME))
      yield { path: `tests/${file}`, name: name.replaceAll(/\\(.)/g, '$1') };
  }
}

function report() {
  const entries = conformanceCoverage();
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(entries, undefined, 2));
    return;
  }
  const missing = process.argv.includes('--missing');
  const areas = new Map();
  for (const entry of entries) {
    const area = /^\[(sig-[^\]]+)\]/.exec(entry.codename)[1];
    const counts = areas.get(area) ?? { all: 0, covered: 0 };
    counts.all++;
    if (entry.tests.length > 0) counts.covered++;
    areas.set(area, counts);
    if (missing === (entry.tests.length === 0)) console.log(entry.codename);
  }
  console.log();
  for (const [area, { all, covered }] of areas) console.log(`${area.padEnd(22)} ${covered} of ${all}`);
  const covered = entries.filter(({ tests }) => tests.length > 0).length;
  console.log(`${'together'.padEnd(22)} ${covered} of ${entries.length}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) report();
