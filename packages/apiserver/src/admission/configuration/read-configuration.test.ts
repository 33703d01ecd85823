import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readAdmissionConfiguration } from './read-configuration.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-admission-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function read(text: string): Promise<ReadonlyMap<string, object>> {
  const path = join(directory, 'admission.yaml');
  await writeFile(path, text);
  return readAdmissionConfiguration(path);
}
const HEAD = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n';

test('configurations are in the file, or in one beside it', async () => {
  await writeFile(join(directory, 'other.yaml'), 'apiVersion: a/v1\nkind: A\nlimits: [1]\n');
  const found = await read(
    `${HEAD}plugins:\n- name: One\n  configuration: {apiVersion: b/v1, kind: B}\n- name: Two\n  path: other.yaml\n- name: None\n`,
  );
  expect([...found]).toEqual([
    ['One', { apiVersion: 'b/v1', kind: 'B' }],
    ['Two', { apiVersion: 'a/v1', kind: 'A', limits: [1] }],
  ]);
});

test.each([
  [`${HEAD}plugin: []\n`, 'strict decoding error: unknown field "plugin"'],
  ['kind: AdmissionConfiguration\n', "Object 'apiVersion' is missing in"],
  ['apiVersion: apiserver.config.k8s.io/v1\nkind: Other\n', 'no kind "Other" is registered for version'],
  ['- a\n', 'json parse error'],
  [`${HEAD}plugins: [{name: X, path: missing.yaml}]\n`, "Couldn't open admission plugin configuration"],
])('%j cannot be used', async (text, problem) => {
  await expect(read(text)).rejects.toThrow(problem);
});

test('there must be one', async () => {
  await expect(readAdmissionConfiguration(join(directory, 'none'))).rejects.toThrow(
    'unable to read admission control configuration from',
  );
});
