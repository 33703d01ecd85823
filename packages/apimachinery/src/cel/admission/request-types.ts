/** The types of `request` and `namespaceObject` (k8s.io/apiserver/pkg/admission/plugin/cel/compile.go). */
import { BOOL, DYN, INT, listType, mapType, objectType, STRING, TIMESTAMP } from '../language/type.ts';
import type { CelType } from '../language/type.ts';

type Fields = Readonly<Record<string, CelType>>;

export const REQUEST_TYPE: CelType = objectType('kubernetes.AdmissionRequest');
export const NAMESPACE_TYPE: CelType = objectType('kubernetes.Namespace');

const KIND = objectType('kubernetes.GroupVersionKind');
const RESOURCE = objectType('kubernetes.GroupVersionResource');
const USER = objectType('kubernetes.UserInfo');
const NAMESPACE_METADATA = objectType('kubernetes.NamespaceMetadata');
const NAMESPACE_SPEC = objectType('kubernetes.NamespaceSpec');
const NAMESPACE_STATUS = objectType('kubernetes.NamespaceStatus');
const NAMESPACE_CONDITION = objectType('kubernetes.NamespaceCondition');
const STRINGS = listType(STRING);
const TEXTS = mapType(STRING, STRING);

const FIELDS: ReadonlyMap<string, Fields> = new Map<string, Fields>([
  [
    REQUEST_TYPE.name,
    {
      kind: KIND,
      resource: RESOURCE,
      subResource: STRING,
      requestKind: KIND,
      requestResource: RESOURCE,
      requestSubResource: STRING,
      name: STRING,
      namespace: STRING,
      operation: STRING,
      userInfo: USER,
      dryRun: BOOL,
      options: DYN,
    },
  ],
  [KIND.name, { group: STRING, version: STRING, kind: STRING }],
  [RESOURCE.name, { group: STRING, version: STRING, resource: STRING }],
  [USER.name, { username: STRING, uid: STRING, groups: STRINGS, extra: mapType(STRING, STRINGS) }],
  [NAMESPACE_TYPE.name, { metadata: NAMESPACE_METADATA, spec: NAMESPACE_SPEC, status: NAMESPACE_STATUS }],
  [
    NAMESPACE_METADATA.name,
    {
      name: STRING,
      generateName: STRING,
      namespace: STRING,
      labels: TEXTS,
      annotations: TEXTS,
      UID: STRING,
      creationTimestamp: TIMESTAMP,
      deletionGracePeriodSeconds: INT,
      deletionTimestamp: TIMESTAMP,
      generation: INT,
      resourceVersion: STRING,
      finalizers: STRINGS,
    },
  ],
  [NAMESPACE_SPEC.name, { finalizers: STRINGS }],
  [NAMESPACE_STATUS.name, { conditions: listType(NAMESPACE_CONDITION), phase: STRING }],
  [
    NAMESPACE_CONDITION.name,
    { status: STRING, type: STRING, lastTransitionTime: TIMESTAMP, message: STRING, reason: STRING },
  ],
]);

export function requestFieldType(typeName: string, field: string): CelType | undefined {
  const fields = FIELDS.get(typeName);
  return fields !== undefined && Object.hasOwn(fields, field) ? fields[field] : undefined;
}
