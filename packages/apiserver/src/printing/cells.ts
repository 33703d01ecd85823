/** Columns and cell texts that several kinds share. */
import type { KubeObject } from '@k8ts/api';
import { formatLabelSelector, labelSelectorFromObject, type LabelSelectorFields } from '@k8ts/apimachinery';
import type { Column } from './contract.ts';
import { timeSince } from './human-duration.ts';

type Cell<T extends KubeObject> = Column<T>['cell'];

export const NAME_DESCRIPTION = 'Name of the object, unique among the objects of its kind (and namespace).';
const CREATED_DESCRIPTION = 'When the server created the object, in UTC.';

export function column<T extends KubeObject>(
  name: string,
  type: Column<T>['type'],
  description: string,
  cell: Cell<T>,
): Column<T> {
  return { name, type, description, priority: 0, cell };
}

/** Shown with `-o wide`. */
export function wideColumn<T extends KubeObject>(
  name: string,
  type: Column<T>['type'],
  description: string,
  cell: Cell<T>,
): Column<T> {
  return { name, type, description, priority: 1, cell };
}

export const nameColumn: Column<KubeObject> = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: NAME_DESCRIPTION,
  priority: 0,
  cell: (object) => object.metadata.name,
};

export const ageColumn: Column<KubeObject> = {
  name: 'Age',
  type: 'string',
  description: CREATED_DESCRIPTION,
  priority: 0,
  cell: (object, now) => timeSince(object.metadata.creationTimestamp, now),
};

const createdAtColumn: Column<KubeObject> = {
  name: 'Created At',
  type: 'date',
  description: CREATED_DESCRIPTION,
  priority: 0,
  cell: (object) => object.metadata.creationTimestamp ?? '0001-01-01T00:00:00Z',
};

/** What kinds without columns of their own show. */
export const defaultColumns: readonly Column<KubeObject>[] = [nameColumn, createdAtColumn];

interface ContainerNames {
  readonly name?: string;
  readonly image?: string;
}

type TemplateOf<T> = (
  object: T,
) => { readonly spec?: { readonly containers?: readonly ContainerNames[] } } | undefined;

/** Containers and images of a pod template. */
export function templateColumns<T extends KubeObject>(template: TemplateOf<T>): readonly Column<T>[] {
  const joined = (object: T, field: 'name' | 'image'): string =>
    (template(object)?.spec?.containers ?? []).map((container) => container[field] ?? '').join(',');
  return [
    wideColumn('Containers', 'string', 'The containers of the template.', (object) => joined(object, 'name')),
    wideColumn('Images', 'string', 'The images of the template.', (object) => joined(object, 'image')),
  ];
}

/** `a=1,b=2`, sorted by name; `<none>` for none (labels.FormatLabels). */
export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const keys = Object.keys(labels ?? {}).sort();
  return keys.length === 0 ? '<none>' : keys.map((key) => `${key}=${labels?.[key]}`).join(',');
}

/** metav1.FormatLabelSelector: `<none>` for everything, `<error>` for one that cannot be read. */
export function formatSelector(selector: LabelSelectorFields | undefined): string {
  const text = selectorText(selector);
  return text === undefined ? '<error>' : text === '' ? '<none>' : text;
}

/** The selector's string form; undefined when it cannot be read. */
export function selectorText(selector: LabelSelectorFields | undefined): string | undefined {
  try {
    return formatLabelSelector(labelSelectorFromObject(selector));
  } catch {
    return undefined;
  }
}

/** `a,b,c + 2 more...` */
export function atMost(list: readonly string[], max: number, separator = ','): string {
  const shown = list.slice(0, max).join(separator);
  return list.length > max ? `${shown} + ${list.length - max} more...` : shown;
}

export function boolText(value: boolean | undefined): string {
  return value === undefined ? '<unset>' : value ? 'True' : 'False';
}
