import type { AdmissionPlugin } from './contract.ts';

export interface AdmissionPluginSelection {
  /** In addition to those that are on by default. */
  readonly enable?: readonly string[];
  /** Of those that are on by default. */
  readonly disable?: readonly string[];
}

type Default = 'on' | 'off' | 'not here';

/**
 * The plugins of Kubernetes 1.36 in the order in which they run (pkg/kubeapiserver/options/plugins.go). NodeRestriction is
 * off upstream, but on wherever kubeadm has been.
 */
const PLUGINS: ReadonlyMap<string, Default> = new Map<string, Default>([
  ['AlwaysAdmit', 'off'],
  ['NamespaceAutoProvision', 'off'],
  ['NamespaceLifecycle', 'on'],
  ['NamespaceExists', 'off'],
  ['LimitPodHardAntiAffinityTopology', 'off'],
  ['LimitRanger', 'on'],
  ['ServiceAccount', 'on'],
  ['NodeRestriction', 'on'],
  ['TaintNodesByCondition', 'on'],
  ['AlwaysPullImages', 'off'],
  ['ImagePolicyWebhook', 'not here'],
  ['PodSecurity', 'on'],
  ['PodNodeSelector', 'off'],
  ['Priority', 'on'],
  ['DefaultTolerationSeconds', 'on'],
  ['PodTolerationRestriction', 'off'],
  ['EventRateLimit', 'off'],
  ['ExtendedResourceToleration', 'off'],
  ['DefaultStorageClass', 'on'],
  ['StorageObjectInUseProtection', 'on'],
  ['OwnerReferencesPermissionEnforcement', 'off'],
  ['PersistentVolumeClaimResize', 'on'],
  ['RuntimeClass', 'on'],
  ['CertificateApproval', 'on'],
  ['CertificateSigning', 'on'],
  ['ClusterTrustBundleAttest', 'on'],
  ['CertificateSubjectRestriction', 'on'],
  ['DefaultIngressClass', 'on'],
  ['DenyServiceExternalIPs', 'off'],
  ['PodTopologyLabels', 'on'],
  ['NodeDeclaredFeatureValidator', 'on'],
  ['MutatingAdmissionPolicy', 'on'],
  ['MutatingAdmissionWebhook', 'on'],
  ['ValidatingAdmissionPolicy', 'on'],
  ['ValidatingAdmissionWebhook', 'on'],
  ['ResourceQuota', 'on'],
  ['AlwaysDeny', 'off'],
]);
const ORDER = [...PLUGINS.keys()];

/**
 * Those that are on, in their order. What has a name that is not upstream's is part of the registry there: it is always on,
 * and comes first. Throws an `AdmissionPluginError` for names that are not known.
 */
export function selectPlugins(
  plugins: readonly AdmissionPlugin[],
  { enable = [], disable = [] }: AdmissionPluginSelection = {},
): readonly AdmissionPlugin[] {
  const problems = [
    ...problemsOf('enable', enable),
    ...problemsOf('disable', disable),
    ...enable
      .filter((name) => PLUGINS.get(name) === 'not here')
      .map((name) => `enable-admission-plugins plugin "${name}" is not available`),
  ];
  const both = [...new Set(enable)].filter((name) => disable.includes(name)).sort();
  if (both.length > 0)
    problems.push(`[${both.join(' ')}] in enable-admission-plugins and disable-admission-plugins overlapped`);
  if (problems.length > 0)
    throw new AdmissionPluginError(problems.length === 1 ? problems.join() : `[${problems.join(', ')}]`);
  return plugins
    .filter(({ name }) => (PLUGINS.get(name) === 'off' ? enable.includes(name) : !disable.includes(name)))
    .sort((one, other) => ORDER.indexOf(one.name) - ORDER.indexOf(other.name));
}

function problemsOf(flag: 'enable' | 'disable', names: readonly string[]): string[] {
  return names
    .filter((name) => !PLUGINS.has(name))
    .map((name) => `${flag}-admission-plugins plugin "${name}" is unknown`);
}

/** The operator asked for plugins that cannot be had; the message says which, in upstream's words. */
export class AdmissionPluginError extends Error {
  override readonly name = 'AdmissionPluginError';
}
