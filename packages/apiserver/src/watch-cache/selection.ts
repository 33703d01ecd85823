import {
  EVERYTHING,
  formatFieldSelector,
  formatLabelSelector,
  matchesFields,
  matchesLabels,
  requiresExactField,
  selectsEverything,
  type FieldSelector,
  type LabelSelector,
} from '@k8ts/apimachinery';
import type { ObjectRecord } from '../storage/object-record.ts';

/** Which objects of a resource a list or watch is about. */
export interface Selection {
  /** Undefined: all namespaces, or a resource without them. */
  readonly namespace: string | undefined;
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
  /** The selectors say nothing: only the namespace counts. */
  readonly unfiltered: boolean;
  /** Equal for selections that choose the same objects the same way. */
  readonly id: string;
}

export function createSelection(
  namespace: string | undefined,
  labels: LabelSelector = EVERYTHING,
  fields: FieldSelector = [],
): Selection {
  const unfiltered = selectsEverything(labels) && fields.length === 0;
  // Neither namespaces nor formatted selectors hold a line break.
  const id = unfiltered
    ? (namespace ?? '')
    : [
        namespace ?? '',
        labels.nothing ? 'nothing' : formatLabelSelector(labels),
        formatFieldSelector(fields),
      ].join('\n');
  return { namespace, labels, fields, unfiltered, id };
}

/** The record is known to lie in the selection's namespace. */
export function selects(selection: Selection, record: ObjectRecord): boolean {
  if (selection.unfiltered) return true;
  if (selection.fields.length > 0 && !matchesFields(selection.fields, record.fields)) return false;
  return selectsEverything(selection.labels) || matchesLabels(selection.labels, record.labels);
}

export function inNamespace(selection: Selection, record: ObjectRecord): boolean {
  return selection.namespace === undefined || selection.namespace === record.namespace;
}

/** The one name that the selection is about, if it is about one. */
export function selectedName(selection: Selection): string | undefined {
  return requiresExactField(selection.fields, 'metadata.name');
}

/** A field with one wanted value, by which watchers can be found: events about other values cannot concern them. */
export function selectedField(
  selection: Selection,
): { readonly field: string; readonly value: string } | undefined {
  return selection.fields.find(
    ({ field, operator }) => operator === '=' && field !== 'metadata.name' && field !== 'metadata.namespace',
  );
}
