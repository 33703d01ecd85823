import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  hostPortVersions,
  startConversionService,
  type ConversionService,
} from '../../conformance/conversion-webhook.ts';
import { definitionOf } from '../../conformance/custom-resources.ts';
import type { Kubectl } from './program.ts';
import type { Session } from './session.ts';

/** Versions of a custom resource that a webhook converts, as somebody sees them who changes from one to the other. */
export function testConvertedResources(session: Session): void {
  describe('converted custom resources', () => {
    const group = 'converted.example.com';
    let kubectl: Kubectl;
    let service: ConversionService;
    const spec = (version: string): Promise<string> =>
      kubectl.ok('get', `endpoints.${version}.${group}/a`, '-o', 'jsonpath={.hostPort}|{.host}|{.port}');
    beforeAll(async () => {
      kubectl = await session.freshNamespace('converted');
      service = await startConversionService(session.cluster.client);
      const definition = definitionOf({
        group,
        plural: 'endpoints',
        kind: 'Endpoint',
        versions: hostPortVersions('v1'),
        conversion: service.conversion,
      });
      const kinds = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' };
      await kubectl.feed({ ...kinds, ...definition }, 'apply', '-f', '-');
      await kubectl.ok('wait', '--for=condition=Established', `crd/endpoints.${group}`, '--timeout=20s');
    });
    afterAll(async () => {
      await kubectl.ok('delete', 'crd', `endpoints.${group}`);
      await service[Symbol.asyncDispose]();
    });

    const endpoint = (version: string, fields: object): object => ({
      apiVersion: `${group}/${version}`,
      kind: 'Endpoint',
      metadata: { name: 'a' },
      ...fields,
    });

    it('apply, get, edit and delete in either version', async () => {
      const name = `endpoint.${group}/a`;
      expect(await kubectl.feed(endpoint('v1', { hostPort: 'h:80' }), 'apply', '-f', '-')).toBe(
        `${name} created\n`,
      );
      expect(await spec('v1')).toBe('h:80||');
      expect(await spec('v2')).toBe('|h|80');
      // The preferred version is v2.
      expect(await kubectl.ok('get', `endpoints.${group}`, '--field-selector', 'port=80', '-o', 'name')).toBe(
        `${name}\n`,
      );
      const v2 = endpoint('v2', { host: 'h', port: '81' });
      expect(await kubectl.feed(v2, 'diff', '-f', '-').catch(String)).toContain('81');
      expect(await kubectl.feed(v2, 'apply', '-f', '-')).toBe(`${name} configured\n`);
      expect(await spec('v1')).toBe('h:81||');
      const forced = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
      expect(await kubectl.feed(endpoint('v2', { host: 'i', port: '82' }), ...forced)).toBe(
        `${name} serverside-applied\n`,
      );
      expect(await spec('v1')).toBe('i:82||');
      await kubectl.ok('label', `endpoints.v2.${group}/a`, 'some=label');
      await kubectl.ok(
        'patch',
        `endpoints.v2.${group}/a`,
        '--type=json',
        '-p',
        '[{"op":"replace","path":"/port","value":"83"}]',
      );
      expect(await spec('v1')).toBe('i:83||');
      expect(await kubectl.ok('get', `endpoints.v1.${group}`, '-l', 'some=label', '-o', 'name')).toBe(
        `${name}\n`,
      );
      expect(await kubectl.ok('delete', `endpoints.v2.${group}/a`)).toContain('deleted');
    });
  });
}
