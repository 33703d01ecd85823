import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../support/installation.ts';

/** The shell commands of the README between two of its headings, in order. */
export function readmeCommands(from: string, to: string): readonly string[] {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const start = text.indexOf(`\n${from}\n`);
  const end = text.indexOf(`\n${to}\n`);
  if (start < 0 || end < start) throw new Error(`the README has no part from ${from} to ${to}`);
  return [...text.slice(start, end).matchAll(/^```sh\n(.*?)^```$/gms)]
    .flatMap((match) => (match[1] as string).split('\n'))
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
