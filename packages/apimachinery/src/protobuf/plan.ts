import type { FieldSchema, Schema } from '@k8ts/api';

/** How the fields of an object lie in its message. Made once per type. */
export interface MessagePlan {
  /** In the order of their numbers, as upstream writes them. */
  readonly fields: readonly PlanField[];
  readonly byNumber: ReadonlyMap<number, PlanField>;
}

export interface PlanField {
  readonly number: number;
  /** JSON name; empty for an embedded struct. */
  readonly name: string;
  readonly schema: Schema;
  /** Go's zero value counts as a value (pointer), so absent stays absent. */
  readonly pointer: boolean;
  /** Go's JSON leaves the zero value out. */
  readonly omitEmpty: boolean;
  /** An embedded struct: a message here, while in JSON its fields are the object's own. */
  readonly embed: MessagePlan | undefined;
}

// The map of fields is what all variants of a type's node have in common.
const plans = new WeakMap<ReadonlyMap<string, FieldSchema>, MessagePlan>();

export function planOf(schema: Schema): MessagePlan {
  let plan = plans.get(schema.fields);
  if (plan === undefined) plans.set(schema.fields, (plan = makePlan(schema)));
  return plan;
}

function makePlan(schema: Schema): MessagePlan {
  const fields: PlanField[] = schema.protoEmbeds.map((embed) => ({
    number: embed.protoNumber,
    name: '',
    schema: embed.schema,
    pointer: false,
    omitEmpty: false,
    embed: planOf(embed.schema),
  }));
  for (const field of schema.fields.values()) {
    if (field.protoNumber === 0 || field.protoEmbed >= 0) continue;
    const { protoNumber: number, name, pointer, omitEmpty } = field;
    fields.push({ number, name, schema: field.schema, pointer, omitEmpty, embed: undefined });
  }
  fields.sort((a, b) => a.number - b.number);
  return { fields, byNumber: new Map(fields.map((field) => [field.number, field])) };
}

/** Whether objects of the type can be sent as protobuf: Tables, configuration files and custom resources cannot. */
export function hasProtobuf(schema: Schema): boolean {
  if (schema.type !== 'object') return false;
  if (planOf(schema).fields.length > 0) return true;
  return (
    [...schema.fields.keys()].every((name) => name === 'apiVersion' || name === 'kind') && schema.name !== ''
  );
}
