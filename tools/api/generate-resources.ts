import { createHash } from 'node:crypto';
import { deprecationOf } from './deprecation.ts';
import type { PackageFacts } from './facts.ts';
import { writeJsonLiteral } from './literal.ts';

/** The shape of `packages/api/data/resources.json`. */
export interface GroupFacts {
  readonly group: string;
  readonly groupPriority: number;
  readonly versions: readonly VersionFacts[];
}
interface VersionFacts {
  readonly version: string;
  readonly versionPriority: number;
  readonly stage: Stage;
  readonly resources: Readonly<Record<string, ResourceEntry>>;
}
type Stage = 'stable' | 'beta' | 'alpha' | 'legacy' | 'aggregated';
interface ResourceEntry {
  readonly kind: string;
  /** true unless given */
  readonly namespaced?: boolean;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** all eight unless given */
  readonly verbs?: readonly string[];
  readonly subresources?: Readonly<Record<string, SubresourceEntry>>;
  /** `group/version` that the object is stored as; its own unless given */
  readonly storage?: string;
  /** the version's unless given */
  readonly stage?: Stage;
}
interface SubresourceEntry {
  /** the resource's own kind unless given */
  readonly kind?: string;
  readonly group?: string;
  readonly version?: string;
  /** get, patch, update unless given */
  readonly verbs?: readonly string[];
}

const ALL_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const SUBRESOURCE_VERBS = ['get', 'patch', 'update'];

export function generateResources(groups: readonly GroupFacts[], packages: readonly PackageFacts[]): string {
  const constants = new Map<string, string>();
  const share = (verbs: readonly string[], name: string): string => {
    constants.set(name, `const ${name} = ${writeJsonLiteral(verbs)};\n`);
    return name;
  };
  /** A last argument, for the few that are deprecated. */
  const deprecation = (group: string, version: string, kind: string): string[] => {
    const text = deprecationOf(packages, group, version, kind);
    return text === '' ? [] : [writeJsonLiteral(text)];
  };
  const rows = groups.flatMap(({ group, versions }) =>
    versions.flatMap(({ version, stage, resources }) =>
      Object.entries(resources).map(([resource, entry]) => {
        const subresources = Object.entries(entry.subresources ?? {}).map(([name, sub]) => {
          const verbs =
            sub.verbs === undefined ? share(SUBRESOURCE_VERBS, 'SUBRESOURCE') : writeJsonLiteral(sub.verbs);
          const gvk = [sub.group ?? group, sub.version ?? version, sub.kind ?? entry.kind] as const;
          const parts = [writeJsonLiteral(name), ...gvk.map(writeJsonLiteral), verbs, ...deprecation(...gvk)];
          return `s(${parts.join(', ')})`;
        });
        const { group: storageGroup, version: storageVersion } = parseGroupVersion(
          entry.storage,
          group,
          version,
        );
        const isStored = entry.verbs === undefined || entry.verbs.includes('watch');
        const parts = [
          ...[group, version, resource, entry.kind].map(writeJsonLiteral),
          String(entry.namespaced ?? true),
          writeJsonLiteral(entry.stage ?? stage),
          entry.verbs === undefined ? share(ALL_VERBS, 'ALL') : writeJsonLiteral(entry.verbs),
          writeJsonLiteral(entry.shortNames ?? []),
          writeJsonLiteral(entry.categories ?? []),
          `[${subresources.join(', ')}]`,
          writeJsonLiteral(storageGroup),
          writeJsonLiteral(storageVersion),
          writeJsonLiteral(isStored ? storageVersionHash(storageGroup, storageVersion, entry.kind) : ''),
          ...deprecation(group, version, entry.kind),
        ];
        return `  r(${parts.join(', ')}),\n`;
      }),
    ),
  );
  const priorities = groups.flatMap(({ group, groupPriority, versions }) =>
    versions.map(
      ({ version, versionPriority }) =>
        `  { group: ${writeJsonLiteral(group)}, version: ${writeJsonLiteral(version)}, groupPriority: ${groupPriority}, versionPriority: ${versionPriority} },\n`,
    ),
  );
  return `import { resourceRow as r, subresourceRow as s, type ApiGroupVersion, type ResourceInfo } from '../resource-info.ts';

${[...constants.values()].join('')}
export const rows: readonly ResourceInfo[] = [
${rows.join('')}];

export const groupVersions: readonly ApiGroupVersion[] = [
${priorities.join('')}];
`;
}

function parseGroupVersion(
  text: string | undefined,
  group: string,
  version: string,
): { readonly group: string; readonly version: string } {
  if (text === undefined) return { group, version };
  const [first = '', second] = text.split('/');
  return second === undefined ? { group: '', version: first } : { group: first, version: second };
}

/** What discovery shows so that clients see a change of the stored version: the start of a hash of its name. */
function storageVersionHash(group: string, version: string, kind: string): string {
  return createHash('sha256')
    .update(`${group}/${version}/${kind}`)
    .digest()
    .subarray(0, 8)
    .toString('base64');
}
