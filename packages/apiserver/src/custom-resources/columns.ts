/** The columns that a definition asks for (apiextensions-apiserver/pkg/registry/customresource/tableconvertor). */
import type { apiextensionsv1, KubeObject } from '@k8ts/api';
import { canonicalTime, parseJsonPath, type JsonPath, type JsonValue } from '@k8ts/apimachinery';
import { nameColumn } from '../printing/cells.ts';
import type { Column } from '../printing/contract.ts';
import { timeSince } from '../printing/human-duration.ts';

type Asked = apiextensionsv1.CustomResourceColumnDefinition;
type Cell = string | number | boolean | null;

const AGE: Asked = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
const AGE_DESCRIPTION =
  'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata';

export function columnsOf(asked: readonly Asked[] | undefined): readonly Column<KubeObject>[] {
  const columns = asked === undefined || asked.length === 0 ? [AGE] : asked;
  return [nameColumn, ...columns.map(columnOf)];
}

function columnOf(asked: Asked): Column<KubeObject> {
  const { name, type, jsonPath, priority = 0, description = '' } = asked;
  const path = parseJsonPath(jsonPath);
  const text = asked === AGE ? AGE_DESCRIPTION : description;
  return {
    name,
    type: type as Column<KubeObject>['type'],
    description: text === '' ? `Custom resource definition column (in JSONPath format): ${jsonPath}` : text,
    priority,
    ...(asked.format === undefined || asked.format === '' ? {} : { format: asked.format as 'name' }),
    cell: (object, now) => cellOf(type, path, object as unknown as JsonValue, now),
  };
}

/** The first of what the path finds. */
function cellOf(type: string, path: JsonPath, object: JsonValue, now: number): Cell {
  const [first] = path.find(object);
  if (first === undefined) return null;
  if (type === 'string') return textOf(first);
  switch (type) {
    case 'integer':
      return typeof first === 'number' ? Math.trunc(first) : null;
    case 'number':
      return typeof first === 'number' ? first : null;
    case 'boolean':
      return typeof first === 'boolean' ? first : null;
    case 'date':
      return typeof first === 'string' ? dateCell(first, now) : null;
    default:
      return null;
  }
}

function dateCell(text: string, now: number): string {
  try {
    // Go reads the word null as it reads nothing.
    return timeSince(text === 'null' || text === '' ? undefined : canonicalTime(text), now);
  } catch {
    return '<invalid>';
  }
}

function textOf(value: JsonValue): string {
  if (typeof value === 'string') return value;
  return value === null ? '<no value>' : JSON.stringify(value);
}
