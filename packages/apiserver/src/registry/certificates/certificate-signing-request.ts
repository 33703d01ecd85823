import { certificatesv1, type Draft } from '@k8ts/api';
import {
  duplicate,
  exceedsBytes,
  forbiddenField,
  formatTime,
  goQuote,
  invalidValue,
  isDNS1123Subdomain,
  jsonEqual,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from '@k8ts/apimachinery';
import { certificateSigningRequestColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { each, messages } from '../field-rules.ts';
import { keepField } from '../strategy-parts.ts';

type Request = certificatesv1.CertificateSigningRequest;
type Condition = certificatesv1.CertificateSigningRequestCondition;

const USAGES = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
];
const LEGACY_SIGNER = 'kubernetes.io/legacy-unknown';
const ONLY_TRUE = ['Approved', 'Denied', 'Failed'];
const MIN_EXPIRATION = 600;
const MAX_SIGNER_LENGTH = 253 + 1 + 253 + 63 + 1;
const PATH_SEGMENT = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** What a kind of update may do. */
interface Allowed {
  readonly certificate: boolean;
  readonly approval: boolean;
}

const conditionsOf = ({ status }: Request, type: string): readonly Condition[] =>
  (status?.conditions ?? []).filter((condition) => condition.type === type);

/** A domain with two labels or more, then a path. */
function validateSignerName(name: string, path: string): FieldError[] {
  if (name === '') return [required(path, '')];
  const segments = name.split('/');
  if (segments.length !== 2)
    return [
      invalidValue(
        path,
        name,
        "must be a fully qualified domain and path of the form 'example.com/signer-name'",
      ),
    ];
  const [domain, rest] = segments as [string, string];
  const errors = messages(isDNS1123Subdomain(domain), domain, path);
  if (domain.split('.').length < 2)
    errors.push(
      invalidValue(path, domain, 'should be a domain with at least two segments separated by dots'),
    );
  if (!rest.split('.').every((label) => PATH_SEGMENT.test(label)) || rest === '')
    errors.push(invalidValue(path, rest, 'validating label'));
  if (exceedsBytes(name, MAX_SIGNER_LENGTH)) errors.push(tooLong(path, MAX_SIGNER_LENGTH));
  return errors;
}

/** The signature is the signer's to check; this says whether it is such a request at all. */
function requestProblem(request: string): string | undefined {
  const text = Buffer.from(request, 'base64').toString('latin1');
  return /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+-----END (NEW )?CERTIFICATE REQUEST-----/.test(
    text,
  )
    ? undefined
    : 'PEM block type must be CERTIFICATE REQUEST';
}

function validateConditions(conditions: readonly Condition[], old: Request | undefined): FieldError[] {
  const path = 'status.conditions';
  const seen = new Set<string>();
  const exclusive =
    old === undefined || !['Approved', 'Denied'].every((type) => conditionsOf(old, type).length > 0);
  return each(conditions, path, ({ type, status }, at) => {
    const errors: FieldError[] = [];
    if (!type) errors.push(required(`${at}.type`, ''));
    const allowed = ONLY_TRUE.includes(type) ? ['True'] : ['False', 'True', 'Unknown'];
    if (!status) errors.push(required(`${at}.status`, ''));
    else if (!allowed.includes(status)) errors.push(notSupported(`${at}.status`, status, allowed));
    const other = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : undefined;
    if (exclusive && other !== undefined && seen.has(other))
      errors.push(invalidValue(path, type, 'Approved and Denied conditions are mutually exclusive'));
    if (seen.has(type)) errors.push(duplicate(`${at}.type`, type));
    seen.add(type);
    return errors;
  });
}

function validate({ spec, status }: Request, old?: Request): FieldError[] {
  const { usages = [], signerName = '', expirationSeconds: seconds } = spec;
  const problem = requestProblem(spec.request ?? '');
  const errors: FieldError[] = [];
  if (problem !== undefined) errors.push(invalidValue('spec.request', spec.request ?? null, problem));
  if (usages.length === 0) errors.push(required('spec.usages', ''));
  errors.push(
    ...each(usages, 'spec.usages', (usage, at) =>
      USAGES.includes(usage) ? [] : [notSupported(at, usage, USAGES)],
    ),
    ...each(usages, 'spec.usages', (usage, at, i) =>
      usages.indexOf(usage) < i ? [duplicate(at, usage)] : [],
    ),
  );
  if (signerName === LEGACY_SIGNER && old?.spec.signerName !== LEGACY_SIGNER)
    errors.push(
      invalidValue(
        'spec.signerName',
        signerName,
        'the legacy signerName is not allowed via this API version',
      ),
    );
  else errors.push(...validateSignerName(signerName, 'spec.signerName'));
  if (seconds !== undefined && seconds < MIN_EXPIRATION)
    errors.push(
      invalidValue(
        'spec.expirationSeconds',
        seconds,
        'may not specify a duration less than 600 seconds (10 minutes)',
      ),
    );
  errors.push(...validateConditions(status?.conditions ?? [], old));
  const certificate = status?.certificate;
  if (certificate && !Buffer.from(certificate, 'base64').includes('-----BEGIN CERTIFICATE-----'))
    errors.push(
      invalidValue(
        'status.certificate',
        '<certificate data>',
        'must contain at least one CERTIFICATE PEM block',
      ),
    );
  return errors;
}

function validateUpdate(request: Request, old: Request, allowed: Allowed): FieldError[] {
  const errors = validate(request, old);
  const path = 'status.conditions';
  for (const type of ONLY_TRUE)
    if (conditionsOf(request, type).length < conditionsOf(old, type).length)
      errors.push(forbiddenField(path, `updates may not remove a condition of type ${goQuote(type)}`));
  if (!allowed.approval)
    for (const type of ['Approved', 'Denied']) {
      const [before, after] = [conditionsOf(old, type), conditionsOf(request, type)];
      if (after.length > before.length)
        errors.push(forbiddenField(path, `updates may not add a condition of type ${goQuote(type)}`));
      else if (after.length === before.length && !jsonEqual(before, after))
        errors.push(forbiddenField(path, `updates may not modify a condition of type ${goQuote(type)}`));
    }
  const [before, after] = [old.status?.certificate ?? '', request.status?.certificate ?? ''];
  if (before !== after) {
    if (!allowed.certificate)
      errors.push(forbiddenField('status.certificate', 'updates may not set certificate content'));
    else if (before !== '')
      errors.push(
        forbiddenField('status.certificate', 'updates may not modify existing certificate content'),
      );
  }
  return errors;
}

function stampConditions(request: Draft<Request>, old: Request, now: string): void {
  for (const condition of request.status?.conditions ?? []) {
    condition.lastUpdateTime ??= now;
    condition.lastTransitionTime ??=
      conditionsOf(old, condition.type).find(({ status }) => status === condition.status)
        ?.lastTransitionTime ?? now;
  }
}

/** The approvers' conditions are not the signers' to change. */
function keepConditions(request: Draft<Request>, old: Request, type: string): void {
  const before = conditionsOf(old, type) as readonly Draft<Condition>[];
  const status = request.status;
  if (status?.conditions === undefined || conditionsOf(request, type).length !== before.length) return;
  let next = 0;
  status.conditions = status.conditions.map((condition) =>
    condition.type === type ? (before[next++] as Draft<Condition>) : condition,
  );
}

export const certificateSigningRequestStrategy: Strategy<Request> = {
  type: certificatesv1.certificateSigningRequests,
  validateName: () => [],
  prepareForCreate(request, { user }) {
    const { spec } = request;
    for (const field of ['username', 'uid', 'groups', 'extra'] as const) delete spec[field];
    if (user.name !== '') spec.username = user.name;
    if (user.uid !== '') spec.uid = user.uid;
    if (user.groups.length > 0) spec.groups = [...user.groups];
    if (Object.keys(user.extra).length > 0)
      spec.extra = Object.fromEntries(
        Object.entries(user.extra).map(([name, values]) => [name, [...values]]),
      );
    request.status = {};
  },
  prepareForUpdate(request, old) {
    keepField(request, old, 'spec');
    keepField(request, old, 'status');
  },
  validate: (request) => validate(request),
  validateUpdate: (request, old) => validateUpdate(request, old, { certificate: false, approval: false }),
  subresources: {
    status: {
      prepareForUpdate(request, old, { clock }) {
        keepField(request, old, 'spec');
        keepConditions(request, old, 'Approved');
        keepConditions(request, old, 'Denied');
        stampConditions(request, old, formatTime(clock.now()));
      },
      validateUpdate: (request, old) => validateUpdate(request, old, { certificate: true, approval: false }),
    },
    approval: {
      prepareForUpdate(request, old, { clock }) {
        stampConditions(request, old, formatTime(clock.now()));
        const conditions = request.status?.conditions;
        keepField(request, old, 'spec');
        request.status = {
          ...(old.status as Draft<certificatesv1.CertificateSigningRequestStatus> | undefined),
        };
        if (conditions === undefined) delete request.status.conditions;
        else request.status.conditions = conditions;
      },
      validateUpdate: (request, old) => validateUpdate(request, old, { certificate: false, approval: true }),
    },
  },
  selectableFields: ({ spec }) => ({ 'spec.signerName': spec.signerName ?? '' }),
  columns: certificateSigningRequestColumns,
};
