import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { handleName } from './api/generate-types.ts';
import { quote, writeJsonLiteral } from './api/literal.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

describe('the generated sources of @k8ts/api', () => {
  test('are what the generator makes of the data', () => {
    // Fails with the list of differing files.
    execFileSync(process.execPath, ['--import', 'tsx', 'tools/import-api.ts', '--check'], { cwd: root });
  });

  test.each([
    ['pods', 'Pod', 'pods'],
    ['persistentvolumeclaims', 'PersistentVolumeClaim', 'persistentVolumeClaims'],
    ['networkpolicies', 'NetworkPolicy', 'networkPolicies'],
    ['ingresses', 'Ingress', 'ingresses'],
    ['endpoints', 'Endpoints', 'endpoints'],
    ['ipaddresses', 'IPAddress', 'ipAddresses'],
    ['csinodes', 'CSINode', 'csiNodes'],
    ['apiservices', 'APIService', 'apiServices'],
    ['servicecidrs', 'ServiceCIDR', 'serviceCIDRs'],
    ['pods', 'PodMetrics', 'pods'],
    ['nodes', 'NodeMetrics', 'nodes'],
  ])('the handle of %s of kind %s is %s', (resource, kind, name) => {
    expect(handleName(resource, kind)).toBe(name);
  });

  test('literals are escaped', () => {
    expect(quote(`it's \\ a\nline`)).toBe(`'it\\'s \\\\ a\\nline'`);
    expect(writeJsonLiteral(['a', 1, true])).toBe(`['a', 1, true]`);
  });
});
