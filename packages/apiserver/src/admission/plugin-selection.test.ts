import { describe, expect, test } from 'vitest';
import type { AdmissionPlugin } from './contract.ts';
import { AdmissionPluginError, selectPlugins, type AdmissionPluginSelection } from './plugin-selection.ts';

const plugin = (name: string): AdmissionPlugin => ({ name, operations: ['CREATE'], handles: () => true });
const names = [
  'AlwaysDeny',
  'ResourceQuota',
  'Priority',
  'PodSecurity',
  'RBACEscalation',
  'AlwaysPullImages',
  'NamespaceLifecycle',
];
const select = (selection?: AdmissionPluginSelection): string[] =>
  selectPlugins(names.map(plugin), selection).map(({ name }) => name);

describe('selectPlugins', () => {
  test('what is on by default, in upstream’s order; what is no plugin upstream before them', () => {
    expect(select()).toEqual([
      'RBACEscalation',
      'NamespaceLifecycle',
      'PodSecurity',
      'Priority',
      'ResourceQuota',
    ]);
  });

  test('what is enabled and disabled besides', () => {
    const selection = {
      enable: ['AlwaysPullImages', 'PodSecurity'],
      disable: ['Priority', 'AlwaysDeny', 'ImagePolicyWebhook'],
    };
    expect(select(selection)).toEqual([
      'RBACEscalation',
      'NamespaceLifecycle',
      'AlwaysPullImages',
      'PodSecurity',
      'ResourceQuota',
    ]);
  });

  test.each<[AdmissionPluginSelection, string]>([
    [{ enable: ['Nothing'] }, 'enable-admission-plugins plugin "Nothing" is unknown'],
    [{ disable: ['nothing'] }, 'disable-admission-plugins plugin "nothing" is unknown'],
    [{ disable: ['RBACEscalation'] }, 'disable-admission-plugins plugin "RBACEscalation" is unknown'],
    [
      { enable: ['A', 'Priority'], disable: ['B'] },
      '[enable-admission-plugins plugin "A" is unknown, disable-admission-plugins plugin "B" is unknown]',
    ],
    [
      { enable: ['Priority', 'AlwaysDeny'], disable: ['AlwaysDeny', 'Priority'] },
      '[AlwaysDeny Priority] in enable-admission-plugins and disable-admission-plugins overlapped',
    ],
    [
      { enable: ['ImagePolicyWebhook'] },
      'enable-admission-plugins plugin "ImagePolicyWebhook" is not available',
    ],
  ])('%j: %s', (selection, message) => {
    expect(() => select(selection)).toThrow(new AdmissionPluginError(message));
  });
});
