/**
 * Gathers what is to be written of one request and hands it on, stage by stage (k8s.io/apiserver/pkg/audit/context.go,
 * request.go and pkg/endpoints/filters/audit.go).
 */
import type { auditv1, authenticationv1, KubeObject, metav1 } from '@k8ts/api';
import {
  formatDurationMilliseconds,
  formatMicroTime,
  isQualifiedName,
  StatusError,
  type Status,
} from '@k8ts/apimachinery';
import { errorMessage, type Clock, type Logger } from '@k8ts/base';
import type { Annotate } from '../admission/contract.ts';
import type { UserInfo } from '../authentication/contract.ts';
import type { RequestAudit } from '../request/request-audit.ts';
import type { RequestContext } from '../request/request-context.ts';
import { isLongRunning } from '../request/time-limit.ts';
import { auditUser, isAtLeast, type AuditEvent, type AuditLevel, type AuditStage } from './audit-event.ts';
import type { AuditMetrics } from './audit-metrics.ts';
import type { AuditSettings, EvaluateAuditPolicy } from './audit-policy.ts';
import type { AuditBackend } from './contract.ts';
import { withoutManagedFields } from './managed-fields.ts';
import { sourceIps } from './source-ips.ts';

/** What the requests of one server share. */
export interface AuditServices {
  readonly evaluate: EvaluateAuditPolicy;
  readonly backend: AuditBackend;
  readonly metrics: AuditMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

const MAX_USER_AGENT = 1024;
/** Milliseconds after which it is said where the time went. */
const LATENCY_THRESHOLD = 500;
const LATENCY_PREFIX = 'apiserver.latency.k8s.io/';

const NOBODY: authenticationv1.UserInfo = {};

export class AuditedRequest implements RequestAudit {
  readonly #services: AuditServices;
  readonly #context: RequestContext;
  readonly #receivedAt: number;
  readonly #start: number;
  readonly #annotations = new Map<string, string>();
  #settings: AuditSettings | undefined;
  #state: 'begun' | 'under way' | 'refused' | 'over' = 'begun';
  #requestReceivedTimestamp = '';
  #user = NOBODY;
  #impersonatedUser: authenticationv1.UserInfo | undefined;
  #impersonationConstraint = '';
  #sourceIPs: readonly string[] = [];
  #userAgent = '';
  #requestURI = '';
  #objectRef: auditv1.ObjectReference | undefined;
  #responseStatus: metav1.Status | undefined;
  #requestObject: string | undefined;
  #responseObject: string | undefined;
  #hasStarted = false;
  #pending: Promise<unknown> | undefined;
  #deprecation: string | undefined;
  /** Milliseconds. */
  #authenticationTime = 0;

  constructor(services: AuditServices, context: RequestContext) {
    this.#services = services;
    this.#context = context;
    this.#receivedAt = services.clock.now();
    this.#start = services.clock.monotonic();
  }

  annotate(key: string, value: string): void {
    const known = this.#annotations.get(key);
    if (known === undefined) this.#annotations.set(key, value);
    else if (known !== value)
      this.#services.logger.warn('an audit annotation has been set already', {
        auditID: this.#context.auditId,
        key,
      });
  }

  readonly annotator: Annotate = (key, value, level = 'Metadata') => {
    if (!this.wants(level)) return;
    const problems =
      key.split('/').length === 2 ? isQualifiedName(key) : ["it must be of the form 'prefix/name'"];
    if (problems.length === 0) return this.annotate(key, value);
    this.#services.logger.warn('an audit annotation has no usable key', {
      auditID: this.#context.auditId,
      key,
      problem: problems.join(','),
    });
  };

  wants(level: AuditLevel): boolean {
    return this.#settings !== undefined && isAtLeast(this.#settings.level, level);
  }

  received(): boolean | Promise<boolean> {
    this.#authenticationTime = this.#services.clock.monotonic() - this.#start;
    if (!this.#begin(this.#context.user)) return true;
    this.#state = 'under way';
    const stored = this.#process('RequestReceived');
    if (typeof stored === 'boolean') return this.#accepted(stored);
    return stored.then((result) => this.#accepted(result));
  }

  #accepted(stored: boolean): boolean {
    if (stored) return true;
    this.#services.metrics.rejections.increment();
    this.#context.audit = undefined;
    return false;
  }

  failed(error: unknown, status: Status): void {
    if (this.#state === 'begun') {
      if (!this.#begin(undefined)) return;
      this.#state = 'refused';
    }
    if (error instanceof StatusError || this.#state === 'refused') {
      this.responseObject(() => JSON.stringify(status), status);
      return;
    }
    if (this.#state === 'over') return;
    const message = `APIServer panic'd: ${errorMessage(error)}`;
    this.#responseStatus = { metadata: {}, status: 'Failure', message, reason: 'InternalError', code: 500 };
    this.#state = 'over';
    this.#after(() => this.#process('Panic'));
  }

  impersonated(user: UserInfo, constraint: string): void {
    this.#impersonatedUser = auditUser(user);
    this.#impersonationConstraint = constraint;
  }

  requestObject(object: object): void {
    const { metadata } = object as { metadata?: KubeObject['metadata'] };
    if (metadata !== undefined) this.#refer(metadata);
    if (this.wants('Request')) this.#requestObject = this.#encoded(() => JSON.stringify(object));
  }

  requestPatch(patch: unknown): void {
    if (this.wants('Request')) this.#requestObject = this.#encoded(() => JSON.stringify(patch), false);
  }

  #refer({ namespace, name, uid, resourceVersion }: Partial<KubeObject['metadata']>): void {
    const known = this.#objectRef ?? {};
    this.#objectRef = objectReference({
      ...known,
      namespace: known.namespace ?? namespace,
      name: known.name ?? name,
      uid: known.uid ?? uid,
      resourceVersion: known.resourceVersion ?? resourceVersion,
    });
  }

  responseObject(json: () => string, status?: Status): void {
    if (status !== undefined) {
      const { message, reason, details, code } = status;
      this.#responseStatus = {
        metadata: {},
        ...(status.status === undefined ? {} : { status: status.status }),
        ...(message === undefined || message === '' ? {} : { message }),
        ...(reason === undefined || reason === '' ? {} : { reason }),
        ...(details === undefined ? {} : { details }),
        ...(code === undefined ? {} : { code }),
      };
    }
    if (this.wants('RequestResponse')) this.#responseObject = this.#encoded(json);
  }

  started(code: number): void {
    if (this.#hasStarted || this.#state === 'begun' || this.#state === 'over') return;
    this.#hasStarted = true;
    this.#responseStatus = { metadata: {}, ...this.#responseStatus, code };
    const isRefused = this.#state === 'refused';
    if (isRefused) this.#state = 'over';
    if (isRefused || isLongRunning(this.#context)) this.#after(() => this.#process('ResponseStarted'));
  }

  completed(): Promise<unknown> | undefined {
    if (this.#state !== 'under way') return this.#pending;
    this.#annotateDeprecation();
    this.#annotateLatency();
    this.#state = 'over';
    this.#after(() => this.#process('ResponseComplete'));
    return this.#pending;
  }

  /** One stage after the other. */
  #after(next: () => boolean | Promise<boolean>): void {
    if (this.#pending !== undefined) {
      this.#pending = this.#pending.then(next);
      return;
    }
    const outcome = next();
    if (typeof outcome !== 'boolean') this.#pending = outcome;
  }

  deprecated(warning: string): void {
    this.#deprecation = warning;
  }

  #annotateDeprecation(): void {
    if (this.#deprecation === undefined) return;
    this.annotate('k8s.io/deprecated', 'true');
    const release = /, unavailable in v(\d+\.\d+)\+/.exec(this.#deprecation)?.[1];
    if (release !== undefined) this.annotate('k8s.io/removed-release', release);
  }

  #annotateLatency(): void {
    const total = this.#services.clock.monotonic() - this.#start;
    if (total <= LATENCY_THRESHOLD) return;
    this.annotate(`${LATENCY_PREFIX}authentication`, formatDurationMilliseconds(this.#authenticationTime));
    this.annotate(`${LATENCY_PREFIX}total`, formatDurationMilliseconds(total));
  }

  /** Asks the policy. False: it wants nothing of this request. */
  #begin(user: UserInfo | undefined): boolean {
    const { evaluate, metrics } = this.#services;
    const context = this.#context;
    const { info, headers, init, query } = context;
    const settings = evaluate(info, user);
    metrics.levels.increment([settings.level]);
    if (settings.level === 'None') {
      context.audit = undefined;
      return false;
    }
    this.#settings = settings;
    if (user !== undefined) this.#user = auditUser(user);
    this.#requestReceivedTimestamp = formatMicroTime(this.#receivedAt);
    this.#sourceIPs = sourceIps(headers, init.remoteAddress);
    this.#requestURI = query.isEmpty ? context.path : `${context.path}?${query.text}`;
    const agent = headers['user-agent'] ?? '';
    this.#userAgent = agent.length > MAX_USER_AGENT ? `${agent.slice(0, MAX_USER_AGENT)}...TRUNCATED` : agent;
    if (info.isResourceRequest)
      this.#objectRef = objectReference({
        resource: info.resource,
        namespace: info.namespace,
        name: info.name,
        apiGroup: info.group,
        apiVersion: info.version,
        subresource: info.subresource,
      });
    return true;
  }

  #encoded(json: () => string, isObject = true): string | undefined {
    try {
      const text = json();
      return isObject && this.#settings?.omitManagedFields === true ? withoutManagedFields(text) : text;
    } catch (error) {
      this.#services.logger.error('an object of an audit event cannot be written', {
        auditID: this.#context.auditId,
        error: errorMessage(error),
      });
      return undefined;
    }
  }

  #process(stage: AuditStage): boolean | Promise<boolean> {
    const { backend, metrics, clock } = this.#services;
    const settings = this.#settings as AuditSettings;
    if (settings.omitStages.has(stage)) return true;
    metrics.events.increment();
    const stageTimestamp =
      stage === 'RequestReceived' ? this.#requestReceivedTimestamp : formatMicroTime(clock.now());
    return backend.process([this.#event(settings.level, stage, stageTimestamp)]);
  }

  #event(level: AuditLevel, stage: AuditStage, stageTimestamp: string): AuditEvent {
    return {
      level,
      auditID: this.#context.auditId,
      stage,
      requestURI: this.#requestURI,
      verb: this.#context.info.verb,
      user: this.#user,
      impersonatedUser: this.#impersonatedUser,
      impersonationConstraint: this.#impersonationConstraint,
      sourceIPs: this.#sourceIPs,
      userAgent: this.#userAgent,
      objectRef: this.#objectRef,
      responseStatus: this.#responseStatus,
      requestObject: this.#requestObject,
      responseObject: this.#responseObject,
      requestReceivedTimestamp: this.#requestReceivedTimestamp,
      stageTimestamp,
      annotations:
        this.#annotations.size === 0
          ? undefined
          : Object.fromEntries([...this.#annotations].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}

type Reference = { readonly [K in keyof auditv1.ObjectReference]: string | undefined };

/** In upstream's order, without what is empty. */
function objectReference(given: Reference): auditv1.ObjectReference {
  const { resource, namespace, name, uid, apiGroup, apiVersion, resourceVersion, subresource } = given;
  return {
    ...(resource ? { resource } : {}),
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {}),
    ...(uid ? { uid } : {}),
    ...(apiGroup ? { apiGroup } : {}),
    ...(apiVersion ? { apiVersion } : {}),
    ...(resourceVersion ? { resourceVersion } : {}),
    ...(subresource ? { subresource } : {}),
  };
}
