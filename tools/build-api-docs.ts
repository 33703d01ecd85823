/**
 * Collects the descriptions of API types and fields into dist/api-docs.json:
 *
 *     npx tsx tools/build-api-docs.ts [OUT]
 *
 * Exit code 1 and one line of reason when they cannot be had.
 *
 * They are upstream's own texts, taken from three packages of the npm registry (docs/adr/0011): only the comments in
 * their type declarations are read, none of their code is run. The file is not committed. Does nothing when the file
 * is there already and made from the same packages.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtinPackages, schemaOfType, type ApiDocsFile, type Schema } from '@k8ts/api';
import { parseClassNames, parseComments, type Comments } from './api/declaration-comments.ts';

interface Source {
  readonly name: string;
  readonly integrity: string;
}
/** Organised by group, version and type, but without the newest betas. */
const MODELS: Source = {
  name: 'kubernetes-models@5.1.0',
  integrity:
    'sha512-ym4Kiyr8BzGIWj4f853ytVYES1B8C1BdONRP5zodItPD1o//OEKuTwC5nFV3ZJtFGeMqOFbIYkpunSVXSlHS8g==',
};
const MACHINERY: Source = {
  name: '@kubernetes-models/apimachinery@3.0.2',
  integrity:
    'sha512-6Vbzr/tinxPBGGdfYjXiV9WPj8PEhyiqGJiWhXrsihK7h6glPj4HKUxZ0YwYXH/5uucm/NVef/xY3vZ4Crj1Fg==',
};
/** All of 1.36, but line breaks are lost, and so are the descriptions of fields that are objects. */
const CLIENT: Source = {
  name: '@kubernetes/client-node@2.0.1',
  integrity:
    'sha512-evJgmEtgArEYlj6DNkMGjK41IrFK/hEwb5lWVxx0VRBWybQpnvi+2TtA19mLgVfRHfqX5yjHObX6e9W7LEZBjw==',
};

const output = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '../dist/api-docs.json');
const stamp = `${output}.sources`;
const wantedStamp = [MODELS, MACHINERY, CLIENT]
  .map(({ name, integrity }) => `${name} ${integrity}\n`)
  .join('');

if (read(stamp) === wantedStamp && read(output) !== undefined) process.exit(0);

const work = mkdtempSync(join(tmpdir(), 'k8ts-api-docs-'));
try {
  const file = collect(fetchPackage(MODELS), fetchPackage(MACHINERY), fetchPackage(CLIENT));
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, JSON.stringify(file));
  writeFileSync(stamp, wantedStamp);
} catch (error) {
  // The program works without them; whoever builds decides whether that will do.
  console.error(`no descriptions of API fields: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Downloads and unpacks a package through npm, and refuses one that is not the pinned one. */
function fetchPackage({ name, integrity }: Source): string {
  const directory = join(work, name.replaceAll(/[^\w.-]/g, '_'));
  mkdirSync(directory);
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const answer = execFileSync(npm, ['pack', name, '--json', '--pack-destination', directory], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    shell: process.platform === 'win32',
    timeout: 120_000,
  });
  const packed = (JSON.parse(answer) as readonly { filename: string; integrity: string }[])[0];
  if (packed === undefined || packed.integrity !== integrity) {
    throw new Error(`${name} from the registry is not the package that was chosen (integrity differs)`);
  }
  const archive = packed.filename.replace(/^@/, '').replaceAll('/', '-');
  execFileSync('tar', ['-xzf', archive], { cwd: directory });
  return join(directory, 'package');
}

function collect(models: string, machinery: string, client: string): ApiDocsFile {
  const file: Record<string, [string, Record<string, string>]> = {};
  const byGroup = new Map<string, Comments[]>();
  const merge = (schema: Schema, sources: readonly Comments[]): void => {
    const fields: Record<string, string> = {};
    for (const name of schema.fields.keys()) {
      const text = first(sources.map((comments) => comments.fields[name]));
      if (text !== undefined) fields[name] = text;
    }
    file[schema.name] = [first(sources.map((comments) => comments.type)) ?? '', fields];
  };

  for (const definition of definitions()) {
    const { group, version, namespace, schema } = definition;
    const isMeta = schema.name.startsWith('io.k8s.apimachinery.pkg.');
    const path = isMeta
      ? join(machinery, ...schema.name.split('.').slice(4))
      : join(models, group, version, schema.goName);
    const stem = namespace.slice(0, namespace.length - version.length);
    const classes = [
      `${capital(stem)}${capital(version)}${schema.goName}`,
      `${capital(version)}${schema.goName}`,
    ];
    const found = [
      readModel(`${path}.d.ts`),
      ...classes.map((name) => readClass(join(client, 'dist/gen/models', name), schema)),
    ].filter((comments) => comments !== undefined);
    merge(schema, found);
    const key = `${group}/${schema.goName}`;
    byGroup.set(key, [...(byGroup.get(key) ?? []), ...found]);
  }
  // A version that nobody documents any more has the words of its siblings; they differ in little but the new fields.
  for (const { group, schema } of definitions()) {
    const own = file[schema.name] as [string, Record<string, string>];
    const siblings = byGroup.get(`${group}/${schema.goName}`) ?? [];
    merge(schema, [{ type: own[0] || undefined, fields: own[1] }, ...siblings]);
  }
  // What all kinds have in common is not repeated by the sources for all of them.
  const [, standard = {}] = file['io.k8s.api.core.v1.Pod'] ?? [];
  for (const { schema } of definitions()) {
    const isKind = schema.fields.has('kind') && schema.fields.has('apiVersion');
    const [, fields] = file[schema.name] as [string, Record<string, string>];
    for (const name of ['apiVersion', 'kind', ...(isObject(schema) ? ['metadata'] : [])]) {
      const text = standard[name];
      if (isKind && text !== undefined) fields[name] ??= text;
    }
  }
  return file;
}

function isObject(schema: Schema): boolean {
  return schema.fields.get('metadata')?.schema.goName === 'ObjectMeta';
}

interface Definition {
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly schema: Schema;
}

function definitions(): Definition[] {
  return builtinPackages.flatMap(({ namespace, group, version, openapi, typeNames }) =>
    typeNames().flatMap((name) => {
      const schema = schemaOfType(namespace, name);
      return schema?.name === `${openapi}.${name}` ? [{ namespace, group, version, schema }] : [];
    }),
  );
}

function readModel(path: string): Comments | undefined {
  const text = read(path);
  return text === undefined ? undefined : parseComments(text);
}

/** A class of the official client; one with fields that the schema lacks is another type of the same name. */
function readClass(path: string, schema: Schema): Comments | undefined {
  const declaration = read(`${path}.d.ts`);
  const code = read(`${path}.js`);
  if (declaration === undefined || code === undefined) return undefined;
  const names = parseClassNames(code);
  if (Object.values(names).some((name) => !schema.fields.has(name))) return undefined;
  const { type, fields } = parseComments(declaration);
  return {
    type,
    fields: Object.fromEntries(
      Object.entries(fields).map(([member, text]) => [names[member] ?? member, text]),
    ),
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function first(texts: readonly (string | undefined)[]): string | undefined {
  return texts.find((text) => text !== undefined && text !== '');
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
