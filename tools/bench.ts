/**
 * Runs the benchmarks in bench/ and prints their figures as one table: `npm run bench [-- --short] [NAME…]`. Each is a
 * script of its own process that prints one JSON line for each figure.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const short = args.includes('--short');
const wanted = args.filter((arg) => !arg.startsWith('-'));
const all = readdirSync(`${root}bench`)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.replace('.bench.ts', ''));
for (const name of wanted)
  if (!all.includes(name)) throw new Error(`there is no benchmark ${name}; there are ${all.join(', ')}`);

let failed = false;
const rows: string[][] = [];
for (const name of wanted.length > 0 ? wanted : all) {
  console.error(`running bench/${name}.bench.ts`);
  const { stdout, status } = spawnSync(process.execPath, ['--import', 'tsx', `bench/${name}.bench.ts`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: { ...process.env, ...(short ? { K8TS_BENCH_SHORT: '1' } : {}) },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) {
    failed = true;
    console.error(`bench/${name}.bench.ts failed`);
  }
  for (const figure of stdout.split('\n').flatMap(parseFigure))
    rows.push([name, figure.name, formatValue(figure.value), figure.unit]);
}

const heads = ['benchmark', 'figure', 'value', 'unit'];
const widths = heads.map((head, column) =>
  Math.max(head.length, ...rows.map((row) => (row[column] ?? '').length)),
);
for (const row of [heads, widths.map((width) => '-'.repeat(width)), ...rows])
  console.log(`| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`);
if (rows.length === 0) throw new Error('no benchmark gave a figure');
process.exitCode = failed ? 1 : 0;

function parseFigure(line: string): Figure[] {
  if (!line.startsWith('{')) return [];
  const figure = JSON.parse(line) as Partial<Figure>;
  return typeof figure.value === 'number' ? [figure as Figure] : [];
}

function formatValue(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
