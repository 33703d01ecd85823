import { rbacv1 } from '@k8ts/api';
import { expect, test } from 'vitest';

import { clusterRoleAggregationController } from './clusterrole-aggregation-controller.ts';
import { ControllerHarness } from './testing/controller-harness.ts';

const rule = (resource: string): rbacv1.PolicyRule => ({
  verbs: ['get'],
  apiGroups: [''],
  resources: [resource],
});

test('an aggregate follows the roles that its selectors match', async () => {
  await using harness = await ControllerHarness.start([clusterRoleAggregationController]);
  const roles = harness.api.client.resource(rbacv1.clusterRoles);
  const rulesOf = async (name: string) => {
    await harness.clock.advance(1000);
    return (await roles.get(name)).rules;
  };
  await roles.create({ metadata: { name: 'part-b', labels: { to: 'view' } }, rules: [rule('pods')] });
  await roles.create({
    metadata: { name: 'view', labels: { to: 'edit' } },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'view' } }] },
    rules: [],
  });
  await roles.create({
    metadata: { name: 'edit' },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'edit' } }] },
    rules: [rule('written-by-hand')],
  });
  expect(await rulesOf('view')).toEqual([rule('pods')]);
  expect(await rulesOf('edit')).toEqual([rule('pods')]); // through view; what was written by hand goes

  await roles.create({
    metadata: { name: 'part-a', labels: { to: 'view' } },
    rules: [rule('services'), rule('pods')],
  });
  expect(await rulesOf('view')).toEqual([rule('services'), rule('pods')]);
  await roles.delete('part-a');
  expect(await rulesOf('edit')).toEqual([rule('pods')]);
});
