/** pods/log, pods/exec, pods/attach and pods/portforward: answered by the kubelet of the pod's node. */
import { corev1 } from '@k8ts/api';
import {
  badRequest,
  forbiddenField,
  fromStatus,
  internalError,
  invalid,
  invalidValue,
  notSupported,
  parseTime,
  TimeError,
  type FieldError,
} from '@k8ts/apimachinery';
import { booleanParameter, integerParameter, type Query } from '../request/query.ts';
import type { Result } from '../request/result.ts';
import type { SpecialHandler, SpecialRequest } from '../registry/special-subresources.ts';
import type { KubeletConnection } from './dial.ts';
import { forwardUpgrade, send, type ForwardTarget } from './forward.ts';
import { isWebSocketRequest, webSocketOutput } from './websocket-output.ts';

export function podStreamHandlers(kubelets: KubeletConnection): readonly SpecialHandler[] {
  const handler = (
    subresource: string,
    handle: (request: SpecialRequest, pod: corev1.Pod) => Promise<Result>,
  ): SpecialHandler => ({
    group: '',
    resource: 'pods',
    subresource,
    connect: subresource !== 'log',
    handle: async (request) =>
      handle(request, await request.registry.get(corev1.pods, request.namespace, request.name)),
  });

  const stream = (subresource: 'exec' | 'attach') =>
    handler(subresource, async (request, pod) => {
      const { query } = request.context;
      const container = containerOf(pod, query.get('container') ?? '');
      const parameters = streamParameters(query);
      for (const command of query.getAll('command')) parameters.append('command', command);
      const path = `/${subresource}/${segments(pod, container)}`;
      return forwardUpgrade(request.context, await kubeletTarget(kubelets, request, pod, path, parameters));
    });

  return [
    handler('log', (request, pod) => log(kubelets, request, pod)),
    stream('exec'),
    stream('attach'),
    handler('portforward', async (request, pod) => {
      const parameters = new URLSearchParams();
      const ports = request.context.query.getAll('ports');
      if (ports.length > 0) parameters.set('port', ports.join(','));
      const path = `/portForward/${segments(pod)}`;
      return forwardUpgrade(request.context, await kubeletTarget(kubelets, request, pod, path, parameters));
    }),
  ];
}

function segments({ metadata }: corev1.Pod, ...more: readonly string[]): string {
  return [metadata.namespace ?? '', metadata.name, ...more].map(encodeURIComponent).join('/');
}

/** The kubelet's names for what exec and attach want. */
function streamParameters(query: Query): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [from, to] of [
    ['stdin', 'input'],
    ['stdout', 'output'],
    ['stderr', 'error'],
    ['tty', 'tty'],
  ] as const)
    if (booleanParameter(query, from) === true) parameters.set(to, '1');
  return parameters;
}

async function kubeletTarget(
  kubelets: KubeletConnection,
  { registry }: SpecialRequest,
  pod: corev1.Pod,
  path: string,
  parameters: URLSearchParams,
): Promise<ForwardTarget> {
  const { nodeName = '' } = pod.spec;
  if (nodeName === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  const node = await registry.get(corev1.nodes, '', nodeName);
  const query = parameters.toString();
  return { backend: kubelets.forNode(node), path: query === '' ? path : `${path}?${query}` };
}

/** The wanted container, or the only one. Throws 400 in upstream's words. */
function containerOf(pod: corev1.Pod, wanted: string): string {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const names = [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name);
  if (wanted !== '') {
    if (names.includes(wanted)) return wanted;
    throw badRequest(`container ${wanted} is not valid for pod ${pod.metadata.name}`);
  }
  const [only] = containers;
  if (containers.length === 1 && only !== undefined) return only.name;
  const choice = containers.length === 0 ? '' : `, choose one of: [${names.join(' ')}]`;
  throw badRequest(`a container name must be specified for pod ${pod.metadata.name}${choice}`);
}

async function log(kubelets: KubeletConnection, request: SpecialRequest, pod: corev1.Pod): Promise<Result> {
  const { context } = request;
  const { query } = context;
  const parameters = logParameters(query, request.name);
  const container = containerOf(pod, query.get('container') ?? '');
  // Nothing has been written yet, and nobody can be asked.
  if ((pod.spec.nodeName ?? '') === '') return { kind: 'raw', code: 204, contentType: '', body: '' };
  const path = `/containerLogs/${segments(pod, container)}`;
  const response = await send(context, await kubeletTarget(kubelets, request, pod, path, parameters));
  const code = response.statusCode ?? 502;
  if (code < 200 || code > 206) throw kubeletError(code, await errorText(response), request.name);
  if (isWebSocketRequest(context)) return webSocketOutput(response);
  return { kind: 'raw', code: 200, contentType: 'text/plain', body: response };
}

const MAX_ERROR_TEXT = 50_000;

async function errorText(response: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of response) {
    text += chunk.toString();
    if (text.length > MAX_ERROR_TEXT) break;
  }
  return text.slice(0, MAX_ERROR_TEXT);
}

/** What clients hear of a kubelet's refusal (genericrest.GenericHttpResponseChecker). */
function kubeletError(code: number, text: string, name: string): Error {
  if (code === 500) return internalError(new Error(text));
  if (code === 400) return badRequest(text);
  const [reason, message] = GENERIC[code] ?? [
    code >= 500 ? 'InternalError' : '',
    code >= 500
      ? `an error on the server (${JSON.stringify(text)}) has prevented the request from succeeding`
      : `the server responded with the status code ${code} but did not return more information`,
  ];
  return fromStatus({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `${message} ( pods/log ${name})`,
    reason,
    details: { name, kind: 'pods/log' },
    code,
  });
}

const GENERIC: Readonly<Record<number, readonly [reason: string, message: string]>> = {
  401: ['Unauthorized', 'the server has asked for the client to provide credentials'],
  403: ['Forbidden', 'the kubelet refuses the request'],
  404: ['NotFound', 'the server could not find the requested resource'],
  405: ['MethodNotAllowed', 'the server does not allow this method on the requested resource'],
  429: ['TooManyRequests', 'the server has received too many requests and has asked us to try again later'],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request'],
};

/** Reads and checks PodLogOptions (ValidatePodLogOptions). */
function logParameters(query: Query, name: string): URLSearchParams {
  const errors: FieldError[] = [];
  const parameters = new URLSearchParams();
  for (const flag of ['follow', 'previous', 'timestamps'])
    if (booleanParameter(query, flag) === true) parameters.set(flag, 'true');
  const sinceSeconds = integerParameter(query, 'sinceSeconds');
  const tailLines = integerParameter(query, 'tailLines');
  const limitBytes = integerParameter(query, 'limitBytes');
  const sinceTime = query.get('sinceTime') ?? '';
  const stream = query.get('stream') ?? '';

  if (tailLines !== undefined && tailLines < 0)
    errors.push(invalidValue('tailLines', tailLines, 'must be greater than or equal to 0'));
  if (limitBytes !== undefined && limitBytes < 1)
    errors.push(invalidValue('limitBytes', limitBytes, 'must be greater than 0'));
  if (sinceSeconds !== undefined && sinceTime !== '')
    errors.push(forbiddenField('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  else if (sinceSeconds !== undefined && sinceSeconds < 1)
    errors.push(invalidValue('sinceSeconds', sinceSeconds, 'must be greater than 0'));
  if (stream !== '' && !LOG_STREAMS.includes(stream))
    errors.push(notSupported('stream', stream, LOG_STREAMS));
  if (stream !== '' && stream !== 'All' && tailLines !== undefined)
    errors.push(forbiddenField('', '`tailLines` and specific `stream` are mutually exclusive for now'));
  if (errors.length > 0) throw invalid({ group: '', kind: 'PodLogOptions' }, name, errors);

  if (sinceSeconds !== undefined) parameters.set('sinceSeconds', String(sinceSeconds));
  if (sinceTime !== '') parameters.set('sinceTime', checkedTime(sinceTime));
  if (tailLines !== undefined) parameters.set('tailLines', String(tailLines));
  if (limitBytes !== undefined) parameters.set('limitBytes', String(limitBytes));
  if (stream !== '') parameters.set('stream', stream);
  return parameters;
}

const LOG_STREAMS = ['All', 'Stderr', 'Stdout'];

function checkedTime(text: string): string {
  try {
    parseTime(text);
    return text;
  } catch (error) {
    if (error instanceof TimeError) throw badRequest(error.message);
    throw error;
  }
}
