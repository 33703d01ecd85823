import { admissionregistrationv1 } from '@k8ts/api';
import { describe, expect, it, vi } from 'vitest';

import { define, definitionOf, versionsOf } from './custom-resources.ts';
import { useSuite } from './support.ts';

type Policy = admissionregistrationv1.ValidatingAdmissionPolicy;

describe('the types of admission policies', () => {
  const suite = useSuite();

  /** Creates the policy and waits until its expressions were looked at. */
  async function checked(
    name: string,
    [apiGroup, resource]: readonly [string, string],
    validations: readonly admissionregistrationv1.Validation[],
  ): Promise<NonNullable<Policy['status']>> {
    const policies = suite.client.resource(admissionregistrationv1.validatingAdmissionPolicies);
    await policies.create({
      metadata: { name },
      spec: {
        matchConstraints: {
          resourceRules: [
            { operations: ['CREATE'], apiGroups: [apiGroup], apiVersions: ['v1'], resources: [resource] },
          ],
        },
        validations,
      },
    });
    return vi.waitFor(async () => {
      const { metadata, status } = await policies.get(name);
      expect(status?.observedGeneration).toBe(metadata.generation);
      return status as NonNullable<Policy['status']>;
    });
  }

  it('should type check validation expressions', async () => {
    const status = await checked(
      'types.example.com',
      ['apps', 'deployments'],
      [
        {
          expression: "object.spec.replicas > '1'",
          messageExpression: "'wants replicas > 1, got ' + object.spec.replicas",
        },
      ],
    );
    const warnings = status.typeChecking?.expressionWarnings ?? [];
    expect(warnings.map(({ fieldRef }) => fieldRef)).toEqual([
      'spec.validations[0].expression',
      'spec.validations[0].messageExpression',
    ]);
    expect(warnings[0]?.warning).toContain("found no matching overload for '_>_' applied to '(int, string)'");
    expect(warnings[1]?.warning).toContain("found no matching overload for '_+_' applied to '(string, int)'");
  });

  it('should type check a CRD', async () => {
    await define(
      suite.client,
      definitionOf({
        group: 'types.example.com',
        plural: 'widgets',
        kind: 'Widget',
        versions: versionsOf(
          {
            type: 'object',
            properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
          },
          'v1',
        ),
      }),
    );
    const status = await checked(
      'custom-types.example.com',
      ['types.example.com', 'widgets'],
      [
        { expression: "object.spec.size < 3 && object.metadata.labels['a'] == 'b'" },
        { expression: "object.spec.size == 'small'" },
      ],
    );
    const warnings = status.typeChecking?.expressionWarnings ?? [];
    expect(warnings.map(({ fieldRef }) => fieldRef)).toEqual(['spec.validations[1].expression']);
    expect(warnings[0]?.warning).toContain(
      "types.example.com/v1, Kind=Widget: compilation failed: ERROR: <input>:1:18: found no matching overload for '_==_' applied to '(int, string)'",
    );
  });

  it('says nothing of expressions that fit', async () => {
    const status = await checked(
      'fitting.example.com',
      ['apps', 'deployments'],
      [{ expression: 'object.spec.replicas > 1' }],
    );
    expect(status.typeChecking?.expressionWarnings).toBeUndefined();
  });
});
