import { schemaOf, type Schema } from '@k8ts/api';
import { badRequest, BodyError, decodeProtobuf, parseBody, ProtobufError } from '@k8ts/apimachinery';
import { booleanParameter, integerParameter } from '../../request/query.ts';
import type { RequestContext } from '../../request/request-context.ts';
import { readBody } from './decode.ts';
import type { DeleteOptions } from './delete.ts';

/** From the body, or from the query where there is none. Throws 400 for what is no DeleteOptions. */
export async function deleteOptionsOf(context: RequestContext): Promise<DeleteOptions> {
  const value = await bodyValue(context);
  if (value !== undefined) {
    const options = fromBody(value);
    context.audit?.requestObject({ ...kindOf(value as Record<string, unknown>), ...options });
    return options;
  }
  const { query } = context;
  if (query.isEmpty) return {};
  const dryRun = query.getAll('dryRun').filter((entry) => entry !== '');
  const propagationPolicy = query.get('propagationPolicy');
  return {
    gracePeriodSeconds: integerParameter(query, 'gracePeriodSeconds'),
    orphanDependents: booleanParameter(query, 'orphanDependents'),
    propagationPolicy: propagationPolicy === '' ? undefined : propagationPolicy,
    dryRun: dryRun.length === 0 ? undefined : dryRun,
  };
}

async function bodyValue(context: RequestContext): Promise<unknown> {
  const { body } = context.init;
  if (body.kind === 'value') return body.value;
  if (hasNoBody(context)) return undefined;
  const read = await readBody(context);
  if (read.kind !== 'bytes' || read.bytes.length === 0) return undefined;
  try {
    if (read.format === 'protobuf') return decodeProtobuf(deleteOptionsSchema(), read.bytes);
    return parseBody(read.bytes.toString(), read.format, false).value;
  } catch (error) {
    if (error instanceof BodyError || error instanceof ProtobufError)
      throw badRequest(`couldn't get version/kind; json parse error: ${error.message}`);
    throw error;
  }
}

function deleteOptionsSchema(): Schema {
  const schema = schemaOf('', 'v1', 'DeleteOptions');
  if (schema === undefined) throw new Error('the tables have no DeleteOptions');
  return schema;
}

function hasNoBody({ headers }: RequestContext): boolean {
  return (
    headers['content-length'] === '0' ||
    (headers['content-length'] === undefined &&
      headers['transfer-encoding'] === undefined &&
      headers['content-type'] === undefined)
  );
}

function fromBody(value: unknown): DeleteOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest('decoded object cannot be converted to DeleteOptions');
  const body = value as Record<string, unknown>;
  if (body['kind'] !== undefined && body['kind'] !== 'DeleteOptions')
    throw badRequest('decoded object cannot be converted to DeleteOptions');
  const preconditions = body['preconditions'] as Record<string, unknown> | null | undefined;
  return {
    gracePeriodSeconds: typed(body, 'gracePeriodSeconds', 'number'),
    orphanDependents: typed(body, 'orphanDependents', 'boolean'),
    propagationPolicy: typed(body, 'propagationPolicy', 'string'),
    dryRun: stringList(body['dryRun']),
    preconditions:
      preconditions === undefined || preconditions === null
        ? undefined
        : {
            ...optional('uid', typed<string>(preconditions, 'uid', 'string')),
            ...optional('resourceVersion', typed<string>(preconditions, 'resourceVersion', 'string')),
          },
  };
}

function kindOf({ apiVersion }: Record<string, unknown>): { kind: string; apiVersion: unknown } {
  return { kind: 'DeleteOptions', apiVersion: apiVersion ?? 'meta.k8s.io/v1' };
}

function optional(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}

function typed<T>(object: Record<string, unknown>, name: string, type: string): T | undefined {
  const value = object[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== type || (type === 'number' && !Number.isSafeInteger(value)))
    throw badRequest(`json: cannot unmarshal ${typeof value} into Go struct field DeleteOptions.${name}`);
  return value as T;
}

function stringList(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string'))
    throw badRequest(
      'json: cannot unmarshal value into Go struct field DeleteOptions.dryRun of type []string',
    );
  return value;
}
