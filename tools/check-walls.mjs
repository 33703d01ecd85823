// Checks the package walls with dependency-cruiser, or prints their diagram (--diagram) for ARCHITECTURE.md.
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { readFileSync } from 'node:fs';
import { walls } from './walls.config.mjs';

if (process.argv.includes('--diagram')) {
  console.log('flowchart BT');
  for (const [name, allowed] of Object.entries(walls)) {
    // What a neighbour's neighbour already reaches is not drawn again.
    const direct = allowed.filter((other) => !allowed.some((via) => walls[via].includes(other)));
    for (const other of direct) console.log(`  ${name} --> ${other}`);
  }
  process.exit(0);
}

const names = Object.keys(walls);
const forbidden = [
  ...names.map((name) => ({
    name: `wall-of-${name}`,
    comment: `${name} may import only: ${walls[name].join(', ') || 'nothing'}`,
    severity: 'error',
    from: { path: `^packages/${name}/` },
    to: {
      path: `^packages/(?!${name}/)[^/]+/`,
      ...(walls[name].length > 0 ? { pathNot: `^packages/(${walls[name].join('|')})/` } : {}),
    },
  })),
  {
    name: 'two-doors',
    comment: 'packages are entered by src/index.ts or src/testing/index.ts only',
    severity: 'error',
    from: { path: '^packages/([^/]+)/' },
    to: {
      path: '^packages/[^/]+/src/',
      pathNot: ['^packages/$1/', '^packages/[^/]+/src/(testing/)?index\\.ts$'],
    },
  },
  {
    name: 'testing-door-in-tests-only',
    comment: 'production code does not import test helpers',
    severity: 'error',
    from: { path: '^packages/', pathNot: ['\\.(test|isolated)\\.ts$', '/src/testing/', '\\.bench\\.ts$'] },
    to: { path: '/src/testing/' },
  },
  {
    name: 'no-cycles',
    comment: 'files form a ladder, also by their types',
    severity: 'error',
    from: {},
    to: { circular: true },
  },
];

const result = await cruise(
  ['packages'],
  {
    ruleSet: { forbidden },
    validate: true,
    outputType: 'err',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['node_modules', 'packages/api/data'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default'] },
  },
  {},
  { tsConfig: extractTSConfig('tsconfig.json') },
);
console.log(result.output);
// The rules cover every package there is.
const declared = JSON.parse(readFileSync('package.json', 'utf8')).workspaces;
if (!declared.includes('packages/*')) throw new Error('the workspace is not packages/*');
process.exitCode = result.exitCode === 0 ? 0 : 1;
