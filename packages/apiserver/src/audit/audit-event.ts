/** Audit events and their two written forms (k8s.io/apiserver/pkg/apis/audit/v1, pkg/audit/format.go). */
import type { auditv1, authenticationv1, metav1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse';
export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic';

export const AUDIT_LEVELS: readonly AuditLevel[] = ['None', 'Metadata', 'Request', 'RequestResponse'];
export const AUDIT_STAGES: readonly AuditStage[] = [
  'RequestReceived',
  'ResponseStarted',
  'ResponseComplete',
  'Panic',
];

export function isAtLeast(level: AuditLevel, other: AuditLevel): boolean {
  return AUDIT_LEVELS.indexOf(level) >= AUDIT_LEVELS.indexOf(other);
}

/** One stage of one request. Nobody changes it once it is made, so back ends may keep it. */
export interface AuditEvent {
  readonly level: AuditLevel;
  readonly auditID: string;
  readonly stage: AuditStage;
  readonly requestURI: string;
  readonly verb: string;
  readonly user: authenticationv1.UserInfo;
  readonly impersonatedUser: authenticationv1.UserInfo | undefined;
  /** Of `authenticationMetadata`; empty for none. */
  readonly impersonationConstraint: string;
  readonly sourceIPs: readonly string[];
  readonly userAgent: string;
  readonly objectRef: auditv1.ObjectReference | undefined;
  readonly responseStatus: metav1.Status | undefined;
  /** JSON text. */
  readonly requestObject: string | undefined;
  /** JSON text. */
  readonly responseObject: string | undefined;
  /** `2026-01-31T12:00:00.123000Z`, as `stageTimestamp`. */
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** As JSON on one line, without the newline. `inList`: without kind and apiVersion, as the items of lists are. */
export function eventJson(event: AuditEvent, inList = false): string {
  const { impersonatedUser, sourceIPs, userAgent, objectRef, responseStatus, annotations } = event;
  const { impersonationConstraint, requestObject, responseObject } = event;
  return (
    `${inList ? '{' : '{"kind":"Event","apiVersion":"audit.k8s.io/v1",'}"level":"${event.level}"` +
    `,"auditID":${JSON.stringify(event.auditID)},"stage":"${event.stage}"` +
    `,"requestURI":${JSON.stringify(event.requestURI)},"verb":${JSON.stringify(event.verb)}` +
    `,"user":${userJson(event.user)}` +
    (impersonatedUser === undefined ? '' : `,"impersonatedUser":${userJson(impersonatedUser)}`) +
    (impersonationConstraint === ''
      ? ''
      : `,"authenticationMetadata":${JSON.stringify({ impersonationConstraint })}`) +
    (sourceIPs.length === 0 ? '' : `,"sourceIPs":${JSON.stringify(sourceIPs)}`) +
    (userAgent === '' ? '' : `,"userAgent":${JSON.stringify(userAgent)}`) +
    (objectRef === undefined ? '' : `,"objectRef":${JSON.stringify(objectRef)}`) +
    (responseStatus === undefined ? '' : `,"responseStatus":${JSON.stringify(responseStatus)}`) +
    (requestObject === undefined ? '' : `,"requestObject":${requestObject}`) +
    (responseObject === undefined ? '' : `,"responseObject":${responseObject}`) +
    `,"requestReceivedTimestamp":"${event.requestReceivedTimestamp}","stageTimestamp":"${event.stageTimestamp}"` +
    (annotations === undefined ? '' : `,"annotations":${JSON.stringify(annotations)}`) +
    '}'
  );
}

/** By what `auditUser` made: a user asks again and again. */
const userTexts = new WeakMap<authenticationv1.UserInfo, string>();

function userJson(user: authenticationv1.UserInfo): string {
  let text = userTexts.get(user);
  if (text === undefined) userTexts.set(user, (text = JSON.stringify(user)));
  return text;
}

const wireUsers = new WeakMap<UserInfo, authenticationv1.UserInfo>();

/** In wire form, without what is empty; the same object for every request of one credential. */
export function auditUser(user: UserInfo): authenticationv1.UserInfo {
  let wire = wireUsers.get(user);
  if (wire === undefined) {
    const { name, uid, groups, extra } = user;
    const keys = Object.keys(extra).sort();
    wire = {
      ...(name === '' ? {} : { username: name }),
      ...(uid === '' ? {} : { uid }),
      ...(groups.length === 0 ? {} : { groups }),
      ...(keys.length === 0 ? {} : { extra: Object.fromEntries(keys.map((key) => [key, extra[key] ?? []])) }),
    };
    wireUsers.set(user, wire);
  }
  return wire;
}

/** The legacy format: what there is to know of one event on one line, without the newline. */
export function eventText(event: AuditEvent): string {
  const { user, impersonatedUser, sourceIPs, objectRef, responseStatus } = event;
  const username = user.username ?? '';
  const groups = username === '' || (user.groups ?? []).length === 0 ? '<none>' : quotedList(user.groups);
  const asGroups = impersonatedUser?.groups === undefined ? '<lookup>' : quotedList(impersonatedUser.groups);
  const fields: readonly (readonly [string, string])[] = [
    ['id', event.auditID],
    ['stage', event.stage],
    ['ip', sourceIPs[0] ?? '<unknown>'],
    ['method', event.verb],
    ['user', username === '' ? '<none>' : username],
    ['groups', groups],
    ['as', impersonatedUser === undefined ? '<self>' : (impersonatedUser.username ?? '')],
    ['asgroups', asGroups],
    ['user-agent', event.userAgent],
    ['namespace', objectRef?.namespace ?? '<none>'],
    ['uri', event.requestURI],
    ['response', responseStatus === undefined ? '<deferred>' : String(responseStatus.code ?? 0)],
  ];
  const text = fields.map(([name, value]) => `${name}=${goQuote(value)}`).join(' ');
  return `${withoutTrailingZeros(event.requestReceivedTimestamp)} AUDIT: ${text}`;
}

function quotedList(values: readonly string[] = []): string {
  return values.map(goQuote).join(',');
}

/** Go's RFC3339Nano: `2026-01-31T12:00:00.12Z`. */
function withoutTrailingZeros(time: string): string {
  return time.replace(/\.?0+Z$/, 'Z');
}
