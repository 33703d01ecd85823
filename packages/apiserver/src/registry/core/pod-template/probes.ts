/** Probes and lifecycle handlers. */
import type { corev1 } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  isHTTPHeaderName,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { messages, notNegative } from '../../field-rules.ts';
import { portNumberOrName } from './ports.ts';

interface Handler {
  readonly exec?: corev1.ExecAction;
  readonly httpGet?: corev1.HTTPGetAction;
  readonly tcpSocket?: corev1.TCPSocketAction;
  readonly grpc?: corev1.GRPCAction;
  readonly sleep?: corev1.SleepAction;
}

const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const;

function validateHandler(handler: Handler, gracePeriod: number | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  let count = 0;
  for (const kind of HANDLERS) {
    if (handler[kind] === undefined) continue;
    if (count++ > 0)
      errors.push(forbiddenField(`${path}.${kind}`, 'may not specify more than 1 handler type'));
    else errors.push(...validateAction(handler, kind, gracePeriod, `${path}.${kind}`));
  }
  if (count === 0) errors.push(required(path, 'must specify a handler type'));
  return errors;
}

function validateAction(
  { exec, httpGet, tcpSocket, grpc, sleep }: Handler,
  kind: (typeof HANDLERS)[number],
  gracePeriod: number | undefined,
  path: string,
): FieldError[] {
  switch (kind) {
    case 'exec':
      return (exec?.command ?? []).length === 0 ? [required(`${path}.command`, '')] : [];
    case 'httpGet':
      return validateHttpGet(httpGet as corev1.HTTPGetAction, path);
    case 'tcpSocket':
      return portNumberOrName(tcpSocket?.port ?? 0, `${path}.port`);
    case 'grpc':
      return portNumberOrName(grpc?.port ?? 0, `${path}.port`);
    case 'sleep': {
      const seconds = sleep?.seconds ?? 0;
      return gracePeriod !== undefined && (seconds < 0 || seconds > gracePeriod)
        ? [
            invalidValue(
              path,
              seconds,
              `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriod})`,
            ),
          ]
        : [];
    }
  }
}

function validateHttpGet(http: corev1.HTTPGetAction, path: string): FieldError[] {
  const errors = http.path ? [] : [required(`${path}.path`, '')];
  errors.push(...portNumberOrName(http.port ?? 0, `${path}.port`));
  if (http.scheme !== 'HTTP' && http.scheme !== 'HTTPS')
    errors.push(notSupported(`${path}.scheme`, http.scheme ?? '', ['HTTP', 'HTTPS']));
  for (const { name } of http.httpHeaders ?? [])
    errors.push(...messages(isHTTPHeaderName(name ?? ''), name ?? '', `${path}.httpHeaders`));
  return errors;
}

type ProbeKind = 'livenessProbe' | 'readinessProbe' | 'startupProbe';

export function validateProbe(
  kind: ProbeKind,
  probe: corev1.Probe | undefined,
  gracePeriod: number | undefined,
  path: string,
): FieldError[] {
  if (probe === undefined) return [];
  const errors = validateHandler(probe, gracePeriod, path);
  for (const field of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const)
    errors.push(...notNegative(probe[field], `${path}.${field}`));
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0)
    errors.push(invalidValue(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  if (kind === 'readinessProbe') {
    if (grace !== undefined)
      errors.push(
        invalidValue(`${path}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'),
      );
  } else if (probe.successThreshold !== 1) {
    errors.push(invalidValue(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'));
  }
  return errors;
}

export function validateLifecycle(
  lifecycle: corev1.Lifecycle | undefined,
  gracePeriod: number | undefined,
  path: string,
): FieldError[] {
  if (lifecycle === undefined) return [];
  return [
    ...(lifecycle.postStart === undefined
      ? []
      : validateHandler(lifecycle.postStart, gracePeriod, `${path}.postStart`)),
    ...(lifecycle.preStop === undefined
      ? []
      : validateHandler(lifecycle.preStop, gracePeriod, `${path}.preStop`)),
  ];
}
