import type { AuditEvent } from '../audit-event.ts';

/** An event with nothing in it but what is given. */
export function auditEvent(given: Partial<AuditEvent> = {}): AuditEvent {
  return {
    level: 'Metadata',
    auditID: 'id',
    stage: 'ResponseComplete',
    requestURI: '/',
    verb: 'get',
    user: {},
    impersonatedUser: undefined,
    impersonationConstraint: '',
    sourceIPs: [],
    userAgent: '',
    objectRef: undefined,
    responseStatus: undefined,
    requestObject: undefined,
    responseObject: undefined,
    requestReceivedTimestamp: '2026-01-31T12:00:00.120000Z',
    stageTimestamp: '2026-01-31T12:00:00.120000Z',
    annotations: undefined,
    ...given,
  };
}
