import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadDocs, noDocs } from './index.ts';

const directory = mkdtempSync(join(tmpdir(), 'api-docs-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('descriptions', () => {
  test('are read from the file of the build', () => {
    const path = join(directory, 'docs.json');
    writeFileSync(path, JSON.stringify({ 'a.B': ['A thing.', { name: 'Its name.' }], 'a.C': ['', {}] }));
    const docs = loadDocs(path);
    expect(docs.type('a.B')).toBe('A thing.');
    expect(docs.field('a.B', 'name')).toBe('Its name.');
    expect(docs.field('a.B', 'constructor')).toBeUndefined();
    expect(docs.field('__proto__', 'name')).toBeUndefined();
    expect(docs.type('a.C')).toBeUndefined();
  });

  test('are none when the build made none', () => {
    expect(loadDocs(join(directory, 'missing.json'))).toBe(noDocs);
  });

  test('a broken file is an error', () => {
    const path = join(directory, 'broken.json');
    writeFileSync(path, '{');
    expect(() => loadDocs(path)).toThrow(SyntaxError);
  });
});
