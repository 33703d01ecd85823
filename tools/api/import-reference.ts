/** Reads the reference (Go's view of the wire types) and writes facts: no texts, packages resolved, JSON names only. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FieldFacts, PackageFacts, ResourceFacts, TypeFacts } from './facts.ts';

interface ReferencePackage {
  readonly package: string;
  readonly group: string;
  readonly version: string;
  readonly markers?: readonly string[];
  readonly types: readonly ReferenceType[];
}
interface ReferenceType {
  readonly name: string;
  readonly base?: string;
  readonly enum?: readonly string[];
  readonly markers?: readonly string[];
  readonly fields?: readonly ReferenceField[];
}
interface ReferenceField {
  readonly name: string;
  readonly go?: string;
  readonly type: string;
  readonly inline?: boolean;
  readonly proto?: number;
  readonly optional?: boolean;
  readonly omitempty?: boolean;
  readonly patchStrategy?: string;
  readonly patchMergeKey?: string;
  readonly markers?: readonly string[];
}

/** Go packages whose alias does not follow from `k8s.io/api/<group>/<version>`: namespace and file name. */
const NAMESPACES: Readonly<Record<string, readonly [namespace: string, file: string]>> = {
  'k8s.io/apimachinery/pkg/apis/meta/v1': ['metav1', 'meta-v1'],
  'k8s.io/apimachinery/pkg/version': ['version', 'version'],
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1': ['apiextensionsv1', 'apiextensions-v1'],
  'k8s.io/kube-aggregator/pkg/apis/apiregistration/v1': ['apiregistrationv1', 'apiregistration-v1'],
  'k8s.io/apiserver/pkg/apis/apiserver/v1': ['apiserverv1', 'apiserver-v1'],
  'k8s.io/apiserver/pkg/apis/apiserver/v1beta1': ['apiserverv1beta1', 'apiserver-v1beta1'],
  'k8s.io/apiserver/pkg/apis/audit/v1': ['auditv1', 'audit-v1'],
  'k8s.io/client-go/pkg/apis/clientauthentication/v1': ['clientauthenticationv1', 'clientauthentication-v1'],
  'k8s.io/client-go/tools/clientcmd/api/v1': ['clientcmdv1', 'clientcmd-v1'],
  'k8s.io/kube-proxy/config/v1alpha1': ['kubeproxyv1alpha1', 'kubeproxy-v1alpha1'],
  'k8s.io/kube-scheduler/config/v1': ['kubeschedulerv1', 'kubescheduler-v1'],
  'k8s.io/kube-scheduler/extender/v1': ['schedulerextenderv1', 'schedulerextender-v1'],
  'k8s.io/kubelet/config/v1': ['kubeletv1', 'kubelet-v1'],
  'k8s.io/kubelet/config/v1beta1': ['kubeletv1beta1', 'kubelet-v1beta1'],
  'k8s.io/kubelet/pkg/apis/stats/v1alpha1': ['statsv1alpha1', 'stats-v1alpha1'],
};

/** Files of the reference that describe scalars with a serialisation of their own; `wire.ts` has them by hand. */
const BY_HAND = new Set([
  'apimachinery_pkg_runtime.json',
  'apimachinery_pkg_api_resource.json',
  'apimachinery_pkg_util_intstr.json',
]);

const WIRE_TYPES: Readonly<Record<string, string>> = {
  'resource.Quantity': 'wire.Quantity',
  'intstr.IntOrString': 'wire.IntOrString',
  'runtime.RawExtension': 'wire.RawExtension',
  'runtime.Object': 'wire.RawExtension',
  'runtime.Unknown': 'wire.RawExtension',
  'metav1.Time': 'wire.Time',
  'metav1.MicroTime': 'wire.MicroTime',
  'metav1.Duration': 'wire.Duration',
  'metav1.FieldsV1': 'wire.FieldsV1',
  'apiextensionsv1.JSON': 'wire.Json',
  'interface{}': 'wire.Json',
  any: 'wire.Json',
  'types.UID': 'string',
  'types.NodeName': 'string',
  'time.Duration': 'int64',
  // Component configuration whose package is not part of the reference.
  'tracingapi.TracingConfiguration': 'wire.RawExtension',
  'logsapi.LoggingConfiguration': 'wire.RawExtension',
  'componentbaseconfigv1alpha1.ClientConnectionConfiguration': 'wire.RawExtension',
  'componentbaseconfigv1alpha1.LeaderElectionConfiguration': 'wire.RawExtension',
  'componentbaseconfigv1alpha1.DebuggingConfiguration': 'wire.RawExtension',
};

const GO_SCALARS: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'bool',
  int32: 'int32',
  int64: 'int64',
  int: 'int64',
  uint64: 'uint64',
  float64: 'float64',
  '[]byte': 'wire.Bytes',
};

/** Constants that `+default=ref(…)` names. */
const DEFAULT_CONSTANTS: Readonly<Record<string, string>> = {
  AzureDataDiskCachingReadWrite: 'ReadWrite',
  AzureSharedBlobDisk: 'Shared',
};

/** Types that no JSON or protobuf ever carries. */
const NOT_ON_THE_WIRE = new Set([
  'metav1.InternalEvent',
  'metav1.Patch',
  'version.versionType',
  'apiextensionsv1.cborMajorType',
]);

export function importReference(directory: string): PackageFacts[] {
  const sources = readdirSync(directory)
    .filter((file) => file.endsWith('.json') && !BY_HAND.has(file))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as ReferencePackage);
  const packages = new Map(sources.map((source) => [namespaceOf(source.package)[0], source]));
  return sources.map((source) => importPackage(source, packages));
}

function namespaceOf(goPackage: string): readonly [string, string] {
  const special = NAMESPACES[goPackage];
  if (special !== undefined) return special;
  const match = /^k8s\.io\/(?:api|metrics\/pkg\/apis)\/(\w+)\/(\w+)$/.exec(goPackage);
  const [, group, version] = match ?? [];
  if (group === undefined || version === undefined) throw new Error(`no namespace is known for ${goPackage}`);
  const stem = group.replaceAll('_', '');
  return [stem + version, `${stem}-${version}`];
}

function importPackage(
  source: ReferencePackage,
  packages: ReadonlyMap<string, ReferencePackage>,
): PackageFacts {
  const [namespace, file] = namespaceOf(source.package);
  const resolver = typeResolver(namespace, source, packages);
  const types: Record<string, TypeFacts> = {};
  for (const type of source.types) {
    const qualified = `${namespace}.${type.name}`;
    if (type.base === 'interface{}' || NOT_ON_THE_WIRE.has(qualified) || qualified in WIRE_TYPES) continue;
    types[type.name] = importType(type, resolver);
  }
  return {
    namespace,
    file,
    group: source.group,
    version: source.version,
    openapi: openapiPackage(source),
    types,
  };
}

function openapiPackage(source: ReferencePackage): string {
  const marker = valueOf(source.markers, '+k8s:openapi-model-package');
  if (marker !== undefined) return marker;
  const [host = '', ...path] = source.package.split('/');
  return [...host.split('.').reverse(), ...path].join('.');
}

/** Resolves Go's qualified names. An alias may stand for several packages (`v1` most of all): the first that has the type. */
function typeResolver(
  namespace: string,
  source: ReferencePackage,
  packages: ReadonlyMap<string, ReferencePackage>,
): (type: string) => string {
  const stem = namespace.replace(/v\d\w*$/, '');
  const candidates: Readonly<Record<string, readonly string[]>> = {
    v1: ['corev1', 'metav1', `${stem}v1`, `${stem}v1alpha2`],
    apiv1: ['corev1'],
    authnv1: ['authenticationv1'],
  };
  const has = (owner: string, name: string): boolean =>
    packages.get(owner)?.types.some((type) => type.name === name) === true;

  const resolveName = (name: string): string => {
    const wire = WIRE_TYPES[name] ?? WIRE_TYPES[`${namespace}.${name}`];
    if (wire !== undefined) return wire;
    const scalar = GO_SCALARS[name];
    if (scalar !== undefined) return scalar;
    const [alias, local] = name.split('.');
    if (local === undefined) {
      if (has(namespace, name)) return name;
      throw new Error(`${source.package}: unknown type ${name}`);
    }
    const owner = (candidates[alias ?? ''] ?? [alias ?? '']).find((candidate) => has(candidate, local));
    if (owner === undefined) throw new Error(`${source.package}: unknown type ${name}`);
    return WIRE_TYPES[`${owner}.${local}`] ?? (owner === namespace ? local : `${owner}.${local}`);
  };

  const resolve = (type: string): string => {
    if (type in GO_SCALARS) return GO_SCALARS[type] as string;
    if (type.startsWith('*')) return `*${resolve(type.slice(1))}`;
    if (type.startsWith('[]')) return `[]${resolve(type.slice(2))}`;
    const map = /^map\[([^\]]+)\](.+)$/.exec(type);
    if (map?.[1] !== undefined && map[2] !== undefined) return `map[${resolve(map[1])}]${resolve(map[2])}`;
    return resolveName(type);
  };
  return resolve;
}

function importType(type: ReferenceType, resolve: (type: string) => string): TypeFacts {
  const markers = type.markers ?? [];
  const structType = valueOf(markers, '+structType') as 'atomic' | 'granular' | undefined;
  const resource = importResource(markers);
  const lifecycle = importLifecycle(markers);
  return {
    ...(type.base === undefined
      ? { fields: (type.fields ?? []).flatMap((field) => importField(field, resolve)) }
      : { base: resolve(type.base) }),
    ...(type.enum === undefined ? {} : { enum: [...new Set(type.enum)] }),
    ...(markers.some((marker) => marker === '+enum' || marker === '+k8s:enum') ? { closed: true } : {}),
    ...(structType === undefined ? {} : { structType }),
    ...(markers.includes('+protobuf.nullable=true') ? { protoWrapped: true } : {}),
    ...(resource === undefined ? {} : { resource }),
    ...(lifecycle === undefined ? {} : { lifecycle }),
  };
}

function importField(field: ReferenceField, resolve: (type: string) => string): FieldFacts[] {
  if (field.name === '-') return [];
  const embedded = field.inline === true || (field.name === '' && field.go === undefined);
  const name = embedded ? undefined : field.name === '' ? field.go : field.name;
  const markers = field.markers ?? [];
  const listMapKeys = valuesOf(markers, '+listMapKey', '+k8s:listMapKey');
  const listType = valueOf(markers, '+listType') ?? valueOf(markers, '+k8s:listType');
  const mapType = valueOf(markers, '+mapType') ?? valueOf(markers, '+structType');
  const declared = valueOf(markers, '+default');
  const featureGate = valueOf(markers, '+featureGate');
  return [
    {
      ...(name === undefined ? {} : { name }),
      type: resolve(field.type),
      ...(field.proto === undefined ? {} : { proto: field.proto }),
      ...(field.optional === true ? { optional: true } : {}),
      ...(field.omitempty === true ? { omitempty: true } : {}),
      ...(field.omitempty === true && markers.includes('+required') ? { required: true } : {}),
      ...(listType === undefined ? {} : { listType }),
      ...(listMapKeys.length === 0 ? {} : { listMapKeys: [...new Set(listMapKeys)] }),
      ...(mapType === undefined ? {} : { mapType }),
      ...(field.patchStrategy === undefined ? {} : { patchStrategy: field.patchStrategy.split(',') }),
      ...(field.patchMergeKey === undefined ? {} : { patchMergeKey: field.patchMergeKey }),
      ...(declared === undefined ? {} : { default: parseDefault(declared) }),
      ...(markers.includes('+k8s:immutable') ? { immutable: true } : {}),
      ...(featureGate === undefined ? {} : { featureGate }),
    },
  ];
}

function parseDefault(text: string): unknown {
  const constant = /^ref\((?:.*\.)?(\w+)\)$/.exec(text)?.[1];
  if (constant === undefined) return JSON.parse(text);
  const value = DEFAULT_CONSTANTS[constant];
  if (value === undefined) throw new Error(`the value of the constant ${constant} is not known`);
  return value;
}

function importResource(markers: readonly string[]): ResourceFacts | undefined {
  if (!markers.includes('+genclient')) return undefined;
  const onlyVerbs = valueOf(markers, '+genclient:onlyVerbs')?.split(',');
  const skipVerbs = valueOf(markers, '+genclient:skipVerbs')?.split(',');
  const methods = valuesOf(markers, '+genclient:method').flatMap((method) => {
    const verb = /(?:^|,)verb=(\w+)/.exec(method)?.[1];
    const subresource = /(?:^|,)subresource=([\w/]+)/.exec(method)?.[1];
    return verb === undefined || subresource === undefined ? [] : [`${verb}/${subresource}`];
  });
  return {
    namespaced: !markers.includes('+genclient:nonNamespaced'),
    ...(markers.includes('+genclient:noVerbs') ? { noVerbs: true } : {}),
    ...(onlyVerbs === undefined ? {} : { onlyVerbs }),
    ...(skipVerbs === undefined ? {} : { skipVerbs }),
    ...(methods.length === 0 ? {} : { methods }),
  };
}

function importLifecycle(markers: readonly string[]): Record<string, string> | undefined {
  const prefix = '+k8s:prerelease-lifecycle-gen:';
  const entries = markers
    .filter((marker) => marker.startsWith(prefix) && marker.includes('='))
    .map((marker) => marker.slice(prefix.length).split('=', 2) as [string, string]);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function valuesOf(markers: readonly string[] | undefined, ...names: readonly string[]): string[] {
  return (markers ?? []).flatMap((marker) =>
    names.filter((name) => marker.startsWith(`${name}=`)).map((name) => marker.slice(name.length + 1)),
  );
}

function valueOf(markers: readonly string[] | undefined, name: string): string | undefined {
  return valuesOf(markers, name)[0];
}
