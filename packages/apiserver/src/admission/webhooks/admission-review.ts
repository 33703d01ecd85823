/** What a webhook is asked, and what it may answer (k8s.io/apiserver/pkg/admission/plugin/webhook/request). */
import { randomUUID } from 'node:crypto';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { goQuote, isJsonObject, StatusError, type Status } from '@k8ts/apimachinery';
import type { AdmissionAttributes } from '../contract.ts';

const VERSIONS = ['v1', 'v1beta1'];

export interface ReviewRequest {
  readonly uid: string;
  readonly version: string;
  readonly body: object;
}

export interface ReviewAnswer {
  readonly allowed: boolean;
  readonly status: Partial<Status> | undefined;
  /** Base64 of a JSON patch; empty for none. */
  readonly patch: string;
  readonly warnings: readonly string[];
  /** Without the webhook's name, which comes before the keys. */
  readonly auditAnnotations: readonly (readonly [string, string])[];
}

export interface Shown {
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
}

/** Throws an Error for a webhook that knows no version of AdmissionReview that we know. */
export function reviewRequest(
  attributes: AdmissionAttributes,
  type: ResourceType<KubeObject>,
  { object, oldObject }: Shown,
  reviewVersions: readonly string[],
): ReviewRequest {
  const version = reviewVersions.find((each) => VERSIONS.includes(each));
  if (version === undefined)
    throw new Error('webhook does not accept known AdmissionReview versions (v1, v1beta1)');
  const uid = randomUUID();
  const { operation, ...facts } = requestFacts(attributes, type, object ?? oldObject);
  return {
    uid,
    version,
    body: {
      kind: 'AdmissionReview',
      apiVersion: `admission.k8s.io/${version}`,
      request: { uid, ...facts, operation, object: object ?? null, oldObject: oldObject ?? null },
    },
  };
}

/** What a request is about, without its objects. */
export function requestFacts(
  attributes: AdmissionAttributes,
  type: ResourceType<KubeObject>,
  shown: KubeObject | undefined,
): Readonly<Record<string, unknown>> & { readonly operation: string } {
  const { subresource, namespace, name, operation, user, dryRun, options, versions } = attributes;
  const { requested } = versions;
  return {
    kind: kindOf(shown, type),
    resource: { group: type.group, version: type.version, resource: type.resource },
    ...(subresource === '' ? {} : { subResource: subresource }),
    requestKind: type === requested ? kindOf(shown, type) : kindOf(undefined, requested),
    requestResource: { group: requested.group, version: requested.version, resource: requested.resource },
    ...(subresource === '' ? {} : { requestSubResource: subresource }),
    ...(name === '' ? {} : { name }),
    ...(namespace === '' ? {} : { namespace }),
    operation,
    userInfo: {
      username: user.name,
      ...(user.uid === '' ? {} : { uid: user.uid }),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(Object.keys(user.extra).length === 0 ? {} : { extra: user.extra }),
    },
    dryRun,
    options: Object.keys(options).length === 0 ? null : options,
  };
}

/** Of the object itself: a subresource may take another kind. */
function kindOf(
  object: KubeObject | undefined,
  type: ResourceType<KubeObject>,
): { readonly group: string; readonly version: string; readonly kind: string } {
  const { apiVersion, kind } = object ?? {};
  if (apiVersion === undefined || kind === undefined)
    return { group: type.group, version: type.version, kind: type.kind };
  const slash = apiVersion.indexOf('/');
  return { group: slash < 0 ? '' : apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

interface Answered {
  readonly kind?: unknown;
  readonly apiVersion?: unknown;
  readonly response?: {
    readonly uid?: unknown;
    readonly allowed?: unknown;
    readonly status?: Partial<Status>;
    readonly patch?: unknown;
    readonly patchType?: unknown;
    readonly warnings?: unknown;
    readonly auditAnnotations?: unknown;
  } | null;
}

/** Throws an Error for an answer that is none to this request. */
export function reviewAnswer(
  { uid, version }: ReviewRequest,
  mutating: boolean,
  answer: unknown,
): ReviewAnswer {
  const { kind, apiVersion, response } = (answer ?? {}) as Answered;
  if (response === undefined || response === null || typeof response !== 'object')
    throw new Error('webhook response was absent');
  const patch = typeof response.patch === 'string' ? response.patch : '';
  const { patchType } = response;
  if (version === 'v1') {
    if (response.uid !== uid)
      throw new Error(`expected response.uid=${goQuote(uid)}, got ${goQuote(textOf(response.uid))}`);
    const wanted = 'admission.k8s.io/v1, Kind=AdmissionReview';
    const got = `${textOf(apiVersion)}, Kind=${textOf(kind)}`;
    if (got !== wanted) throw new Error(`expected webhook response of ${wanted}, got ${got}`);
    checkPatch(mutating, patch, patchType);
  }
  return {
    allowed: response.allowed === true,
    status: response.status,
    patch: mutating ? patch : '',
    warnings: Array.isArray(response.warnings)
      ? response.warnings.filter((text): text is string => typeof text === 'string')
      : [],
    auditAnnotations: isJsonObject(response.auditAnnotations)
      ? Object.entries(response.auditAnnotations).filter(
          (entry): entry is [string, string] => typeof entry[1] === 'string',
        )
      : [],
  };
}

function checkPatch(mutating: boolean, patch: string, patchType: unknown): void {
  const hasType = patchType !== undefined && patchType !== null;
  if (!mutating) {
    if (patch !== '') throw new Error('validating webhook may not return response.patch');
    if (hasType) throw new Error('validating webhook may not return response.patchType');
    return;
  }
  if (patch !== '' && !hasType) throw new Error('webhook returned response.patch but not response.patchType');
  if (patch === '' && hasType) throw new Error('webhook returned response.patchType but not response.patch');
  if (hasType && patchType === '') throw new Error('webhook returned invalid response.patchType of ""');
  if (hasType && patchType !== 'JSONPatch')
    throw new Error(`unsupported patch type ${goQuote(textOf(patchType))}`);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The webhook's own words, with its name before them. */
export function denial(webhook: string, status: Partial<Status> | undefined): StatusError {
  const by = `admission webhook ${goQuote(webhook)} denied the request`;
  const { message = '', reason = '', code = 0 } = status ?? {};
  return new StatusError({
    ...status,
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message:
      message !== '' ? `${by}: ${message}` : reason !== '' ? `${by}: ${reason}` : `${by} without explanation`,
    code: code < 400 ? 400 : code,
  });
}
