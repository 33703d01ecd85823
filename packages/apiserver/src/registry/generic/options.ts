/** CreateOptions, UpdateOptions, PatchOptions and ListOptions from the query, checked with upstream's words. */
import {
  badRequest,
  forbiddenField,
  invalid,
  notSupported,
  required,
  validateFieldManager,
  type FieldError,
  type FieldValidation,
} from '@k8ts/apimachinery';
import { booleanParameter, integerParameter, type Query } from '../../request/query.ts';
import type { RequestContext } from '../../request/request-context.ts';

export interface WriteOptions {
  readonly dryRun: boolean;
  /** Given by the client; may be empty. */
  readonly fieldManager: string;
  readonly fieldValidation: FieldValidation;
  /** Server-side apply only. */
  readonly force: boolean | undefined;
  /** In wire form, for admission. */
  readonly wire: Readonly<Record<string, unknown>>;
}

const NO_OPTIONS: Readonly<Record<'CreateOptions' | 'UpdateOptions' | 'PatchOptions', WriteOptions>> = {
  CreateOptions: plainOptions('CreateOptions'),
  UpdateOptions: plainOptions('UpdateOptions'),
  PatchOptions: plainOptions('PatchOptions'),
};

function plainOptions(kind: string): WriteOptions {
  return {
    dryRun: false,
    fieldManager: '',
    fieldValidation: 'Warn',
    force: undefined,
    wire: Object.freeze({ kind, apiVersion: 'meta.k8s.io/v1' }),
  };
}

export function writeOptions(
  query: Query,
  kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions',
  isApply = false,
): WriteOptions {
  if (query.isEmpty && !isApply) return NO_OPTIONS[kind];
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  const fieldManager = query.get('fieldManager') ?? '';
  const fieldValidation = query.get('fieldValidation') ?? '';
  const force = kind === 'PatchOptions' ? booleanParameter(query, 'force') : undefined;
  const errors: FieldError[] = [];
  if (kind === 'PatchOptions') {
    if (isApply && fieldManager === '') errors.push(required('fieldManager', 'is required for apply patch'));
    if (!isApply && force !== undefined)
      errors.push(forbiddenField('force', 'may not be specified for non-apply patch'));
  }
  errors.push(
    ...validateFieldManager(fieldManager, 'fieldManager'),
    ...validateDryRun(dryRun),
    ...validateFieldValidation(fieldValidation),
  );
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind }, '', errors);
  return {
    dryRun: dryRun.length > 0,
    fieldManager,
    fieldValidation: fieldValidation === '' ? 'Warn' : (fieldValidation as FieldValidation),
    force,
    wire: {
      kind,
      apiVersion: 'meta.k8s.io/v1',
      ...(dryRun.length === 0 ? {} : { dryRun }),
      ...(force === undefined ? {} : { force }),
      ...(fieldManager === '' ? {} : { fieldManager }),
      ...(fieldValidation === '' ? {} : { fieldValidation }),
    },
  };
}

export function validateDryRun(dryRun: readonly string[]): FieldError[] {
  return dryRun.every((value) => value === 'All') ? [] : [notSupported('dryRun', dryRun, ['All'])];
}

function validateFieldValidation(value: string): FieldError[] {
  return value === '' || value === 'Ignore' || value === 'Strict' || value === 'Warn'
    ? []
    : [notSupported('fieldValidation', value, ['', 'Ignore', 'Strict', 'Warn'])];
}

const MANAGER_MAX_BYTES = 128;

/** Who owns the fields that a write sets: as asked for, else the first part of the User-Agent. */
export function fieldManagerOf(options: WriteOptions, context: RequestContext): string {
  if (options.fieldManager !== '') return options.fieldManager;
  const agent = (context.headers['user-agent'] ?? '').split('/', 1)[0] as string;
  let manager = '';
  let bytes = 0;
  for (const char of agent) {
    bytes += Buffer.byteLength(char);
    if (bytes > MANAGER_MAX_BYTES) break;
    if (PRINTABLE.test(char)) manager += char;
  }
  return manager;
}

const PRINTABLE = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

export interface ListParameters {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  readonly limit: number;
  readonly continueToken: string;
  readonly timeoutSeconds: number | undefined;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
}

const PLAIN_LIST: ListParameters = {
  labelSelector: '',
  fieldSelector: '',
  resourceVersion: '',
  resourceVersionMatch: '',
  limit: 0,
  continueToken: '',
  timeoutSeconds: undefined,
  allowWatchBookmarks: false,
  sendInitialEvents: undefined,
};

export function listParameters(query: Query, isWatch: boolean): ListParameters {
  if (query.isEmpty) return PLAIN_LIST;
  let resourceVersionMatch = query.get('resourceVersionMatch') ?? '';
  const resourceVersion = query.get('resourceVersion') ?? '';
  const sendInitialEvents = booleanParameter(query, 'sendInitialEvents');
  const allowWatchBookmarks = booleanParameter(query, 'allowWatchBookmarks') ?? false;
  // SetListOptionsDefaults: what upstream always did for watches from "now" and "any" is spelled out.
  let initialEvents = sendInitialEvents;
  if (
    isWatch &&
    sendInitialEvents === undefined &&
    resourceVersionMatch === '' &&
    (resourceVersion === '' || resourceVersion === '0')
  ) {
    initialEvents = true;
    resourceVersionMatch = 'NotOlderThan';
  }
  const parameters: ListParameters = {
    labelSelector: query.get('labelSelector') ?? '',
    fieldSelector: query.get('fieldSelector') ?? '',
    resourceVersion,
    resourceVersionMatch,
    limit: integerParameter(query, 'limit') ?? 0,
    continueToken: query.get('continue') ?? '',
    timeoutSeconds: integerParameter(query, 'timeoutSeconds'),
    allowWatchBookmarks,
    sendInitialEvents: initialEvents,
  };
  const errors = isWatch ? validateWatch(parameters) : validateList({ ...parameters, sendInitialEvents });
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors);
  return parameters;
}

/** k8s.io/apimachinery/pkg/apis/meta/internalversion/validation */
function validateList(parameters: ListParameters): FieldError[] {
  const { resourceVersion, resourceVersionMatch: match, continueToken } = parameters;
  const errors: FieldError[] = [];
  if (match !== '') {
    const path = 'resourceVersionMatch';
    if (resourceVersion === '')
      errors.push(
        forbiddenField(path, 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
      );
    if (continueToken !== '')
      errors.push(forbiddenField(path, 'resourceVersionMatch is forbidden when continue is provided'));
    if (match !== 'Exact' && match !== 'NotOlderThan')
      errors.push(notSupported(path, match, ['Exact', 'NotOlderThan', '']));
    if (match === 'Exact' && resourceVersion === '0')
      errors.push(forbiddenField(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  if (parameters.sendInitialEvents !== undefined)
    errors.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  return errors;
}

function validateWatch(parameters: ListParameters): FieldError[] {
  const { resourceVersionMatch: match, continueToken, sendInitialEvents } = parameters;
  const path = 'resourceVersionMatch';
  const errors: FieldError[] = [];
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
    errors.push(
      forbiddenField(path, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
    );
  if (match !== '') {
    if (sendInitialEvents === undefined)
      errors.push(
        forbiddenField(
          path,
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      );
    if (match !== 'NotOlderThan') errors.push(notSupported(path, match, ['NotOlderThan']));
    if (continueToken !== '')
      errors.push(forbiddenField(path, 'resourceVersionMatch is forbidden when continue is provided'));
  }
  return errors;
}

/** The resource version of a request as a revision; empty is 0. Throws 400. */
export function parseResourceVersion(text: string): number {
  if (text === '') return 0;
  const isNumber = /^\d+$/.test(text);
  const value = isNumber ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  const quoted = JSON.stringify(text);
  throw badRequest(
    `invalid resource version: resourceVersion: Invalid value: ${quoted}: strconv.ParseUint: parsing ${quoted}: ${
      isNumber ? 'value out of range' : 'invalid syntax'
    }`,
  );
}
