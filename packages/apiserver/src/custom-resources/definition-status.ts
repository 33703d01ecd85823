/**
 * What the server says of a definition: which names it may use, and whether its resource is served
 * (apiextensions-apiserver/pkg/controller/{status,establish,apiapproval}).
 */
import type { apiextensionsv1, Draft } from '@k8ts/api';
import { goQuote, jsonEqual } from '@k8ts/apimachinery';
import type { Definition } from './rows.ts';

type Names = apiextensionsv1.CustomResourceDefinitionNames;
export type Condition = apiextensionsv1.CustomResourceDefinitionCondition;
/** A condition without the time of its last change. */
export type ConditionState = Required<Pick<Condition, 'type' | 'status' | 'reason' | 'message'>>;

export interface Judgement {
  readonly acceptedNames: Names;
  readonly conditions: readonly ConditionState[];
  /** The resource is to be served. */
  readonly isServed: boolean;
}

/** Only one definition may be judged at a time: names are taken by the first that asks. */
export function judge(definition: Definition, others: readonly Definition[]): Judgement {
  const { acceptedNames, condition } = judgeNames(definition, others);
  const wasEstablished = conditionOf(definition, 'Established')?.status === 'True';
  const isServed = wasEstablished || condition.status === 'True';
  const approval = approvalOf(definition);
  return {
    acceptedNames,
    isServed,
    conditions: [
      condition,
      isServed
        ? state('Established', true, 'InitialNamesAccepted', 'the initial names have been accepted')
        : state('Established', false, 'NotAccepted', 'not all names are accepted'),
      ...(approval === undefined ? [] : [approval]),
    ],
  };
}

/** Whether the status says all of it already. */
export function isUpToDate({ status }: Definition, { acceptedNames, conditions }: Judgement): boolean {
  return (
    jsonEqual(status?.acceptedNames ?? {}, acceptedNames) &&
    conditions.every((wanted) => {
      const found = status?.conditions?.find(({ type }) => type === wanted.type);
      return (
        found !== undefined &&
        found.status === wanted.status &&
        found.reason === wanted.reason &&
        found.message === wanted.message
      );
    })
  );
}

/** The time of a condition changes with its status alone. `now`: as in metadata. */
export function setCondition(definition: Draft<Definition>, wanted: ConditionState, now: string): void {
  definition.status ??= {};
  const conditions = (definition.status.conditions ??= []);
  const at = conditions.findIndex(({ type }) => type === wanted.type);
  const before = conditions[at];
  const lastTransitionTime = before?.status === wanted.status ? (before.lastTransitionTime ?? now) : now;
  const { type, status, reason, message } = wanted;
  const next = { type, status, lastTransitionTime, reason, message };
  if (at < 0) conditions.push(next);
  else conditions[at] = next;
}

export function conditionOf({ status }: Definition, wanted: Condition['type']): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === wanted);
}

export function state(
  type: Condition['type'],
  isTrue: boolean,
  reason: string,
  message: string,
): ConditionState {
  return { type, status: isTrue ? 'True' : 'False', reason, message };
}

interface NamesJudgement {
  readonly acceptedNames: Names;
  readonly condition: ConditionState;
}

function judgeNames(definition: Definition, others: readonly Definition[]): NamesJudgement {
  const { spec, status } = definition;
  const taken = { resources: new Set<string>(), kinds: new Set<string>() };
  for (const other of others) {
    if (other.spec.group !== spec.group || other.metadata.name === definition.metadata.name) continue;
    const names = other.status?.acceptedNames;
    if (names === undefined) continue;
    for (const name of [names.plural, names.singular ?? '', ...(names.shortNames ?? [])])
      if (name !== '') taken.resources.add(name);
    for (const name of [names.kind, names.listKind ?? '']) if (name !== '') taken.kinds.add(name);
  }
  const accepted: Draft<Names> = structuredClone(
    status?.acceptedNames ?? { plural: '', kind: '' },
  ) as Draft<Names>;
  const asked = spec.names;
  let conflict: ConditionState | undefined;
  const claim = (
    reason: string,
    wanted: readonly string[],
    used: ReadonlySet<string>,
    accept: () => void,
  ): void => {
    const inUse = wanted.filter((name) => used.has(name)).map((name) => `${goQuote(name)} is already in use`);
    if (inUse.length === 0) accept();
    else
      conflict = state(
        'NamesAccepted',
        false,
        reason,
        inUse.length === 1 ? (inUse[0] as string) : `[${inUse.join(', ')}]`,
      );
  };
  claim('PluralConflict', [asked.plural], taken.resources, () => (accepted.plural = asked.plural));
  claim('SingularConflict', [asked.singular ?? ''], taken.resources, () =>
    setOrDrop(accepted, 'singular', asked.singular),
  );
  claim('ShortNamesConflict', asked.shortNames ?? [], taken.resources, () =>
    setOrDrop(accepted, 'shortNames', asked.shortNames),
  );
  claim('KindConflict', [asked.kind], taken.kinds, () => (accepted.kind = asked.kind));
  claim('ListKindConflict', [asked.listKind ?? ''], taken.kinds, () =>
    setOrDrop(accepted, 'listKind', asked.listKind),
  );
  setOrDrop(accepted, 'categories', asked.categories);
  return {
    acceptedNames: accepted,
    condition: conflict ?? state('NamesAccepted', true, 'NoConflicts', 'no conflicts found'),
  };
}

function setOrDrop(names: Draft<Names>, field: keyof Names, value: unknown): void {
  if (value === undefined) delete (names as Record<string, unknown>)[field];
  else (names as Record<string, unknown>)[field] = value;
}

const APPROVED_ANNOTATION = 'api-approved.kubernetes.io';
const APPROVAL_POLICY = 'https://github.com/kubernetes/enhancements/pull/1111';

/** The community's own groups need an approval; others have no such condition. */
function approvalOf({ spec: { group }, metadata }: Definition): ConditionState | undefined {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(group)) return undefined;
  const condition = (isTrue: boolean, reason: string, message: string): ConditionState =>
    state('KubernetesAPIApprovalPolicyConformant', isTrue, reason, message);
  const annotation = metadata.annotations?.[APPROVED_ANNOTATION] ?? '';
  const subject = `protected groups must have approval annotation ${goQuote(APPROVED_ANNOTATION)}`;
  if (annotation === '') return condition(false, 'MissingAnnotation', `${subject}, see ${APPROVAL_POLICY}`);
  if (annotation.startsWith('unapproved'))
    return condition(false, 'UnapprovedAnnotation', `not approved: ${goQuote(annotation)}`);
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/\s]+/i.test(annotation))
    return condition(true, 'ApprovedAnnotation', `approved in ${annotation}`);
  return condition(
    false,
    'InvalidAnnotation',
    `${subject} with either a URL or a reason starting with "unapproved", see ${APPROVAL_POLICY}`,
  );
}
