import type { KubeObject, New, ResourceType } from '@k8ts/api';
import { apiVersionOf } from '@k8ts/client';
import { expect } from 'vitest';

import { until } from '../support/waiting.ts';
import { isGone, watch, type Suite } from './support.ts';

export interface Operations<T extends KubeObject> {
  readonly type: ResourceType<T>;
  /** An object without a name; each is made anew. */
  readonly example: (index: number) => Readonly<Record<string, unknown>>;
  /** Replaces `/status`, where the kind has one; what is written must be read again. */
  readonly status?: Readonly<Record<string, unknown>>;
  /** Whether annotations may be written along with the status; some kinds keep all metadata but the managed fields. */
  readonly statusTakesMetadata?: boolean;
  readonly names?: (index: number) => string;
}

interface Thing extends KubeObject {
  readonly spec?: unknown;
  readonly status?: Readonly<Record<string, unknown>>;
}

/**
 * What upstream's "should support … API operations" tests demand of every kind alike: a place in discovery; create, get,
 * list (in one namespace and in all), watch, patch, update, the status where there is one, delete, delete by selector.
 */
export async function checkApiOperations<T extends KubeObject>(
  suite: Suite,
  {
    type,
    example,
    status,
    statusTakesMetadata = true,
    names = (index) => `operations-${index}`,
  }: Operations<T>,
): Promise<void> {
  const anyType = type as unknown as ResourceType<Thing>;
  const namespace = type.namespaced ? await suite.namespace() : undefined;
  const resource = suite.client.resource(anyType, namespace);
  const everywhere = suite.client.resource(anyType);
  const label = `operations-of=${type.resource}`;
  const objectOf = (index: number): New<Thing> => ({
    ...example(index),
    metadata: { name: names(index), labels: { 'operations-of': type.resource } },
  });

  await checkDiscovery(suite, anyType, status !== undefined);

  const { metadata } = await resource.list({ labelSelector: label });
  await using watcher = await watch(everywhere, {
    labelSelector: label,
    resourceVersion: metadata.resourceVersion,
  });

  const created = await resource.create(objectOf(0));
  expect(created.metadata.uid).toMatch(/^[0-9a-f]{8}-/);
  await resource.create(objectOf(1));
  await resource.create(objectOf(2));
  for (let index = 0; index < 3; index++)
    await watcher.until('ADDED', (object) => object.metadata.name === names(index));

  const read = await resource.get(names(0));
  expect(read.metadata.uid).toBe(created.metadata.uid);
  for (const scope of [resource, everywhere]) {
    const { items } = await scope.list({ labelSelector: label });
    expect(items.map(({ metadata: { name } }) => name).sort()).toEqual([names(0), names(1), names(2)].sort());
  }

  const patched = await resource.patch(
    names(0),
    { metadata: { annotations: { patched: 'true' } } },
    { type: 'merge' },
  );
  expect(patched.metadata.annotations).toMatchObject({ patched: 'true' });
  expect(patched.metadata.resourceVersion).not.toBe(created.metadata.resourceVersion);
  await watcher.until('MODIFIED', (object) => object.metadata.annotations?.['patched'] === 'true');

  await until(async () => {
    const current = await resource.get(names(0));
    const { annotations } = current.metadata;
    const change = {
      ...current,
      metadata: { ...current.metadata, annotations: { ...annotations, updated: 'true' } },
    };
    return !(await isConflict(resource.update(change)));
  });
  await watcher.until('MODIFIED', (object) => object.metadata.annotations?.['updated'] === 'true');
  expect((await resource.get(names(0))).metadata.annotations).toMatchObject({
    patched: 'true',
    updated: 'true',
  });

  if (status !== undefined) await checkStatus(resource, names(0), status, statusTakesMetadata);

  await resource.delete(names(0));
  await until(() => isGone(resource.get(names(0))));
  await watcher.until('DELETED', (object) => object.metadata.name === names(0));
  await resource.deleteCollection({ labelSelector: label });
  await until(async () => (await resource.list({ labelSelector: label })).items.length === 0);
}

async function isConflict(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return false;
  } catch (error) {
    if ((error as { status?: { code?: number } }).status?.code === 409) return true;
    throw error;
  }
}

async function checkStatus(
  resource: ReturnType<Suite['client']['resource']>,
  name: string,
  status: Readonly<Record<string, unknown>>,
  takesMetadata: boolean,
): Promise<void> {
  const patched = await resource.patch(
    name,
    { metadata: { annotations: { 'patched-status': 'true' } }, status },
    { type: 'merge', subresource: 'status' },
  );
  expect((patched as Thing).status).toMatchObject(status);
  let replaced = patched;
  await until(async () => {
    // A controller may have something to say there as well.
    const current = await resource.get(name);
    const change = {
      ...current,
      status,
      metadata: {
        ...current.metadata,
        annotations: { ...current.metadata.annotations, 'updated-status': 'true' },
      },
    };
    return !(await isConflict(resource.updateStatus(change).then((updated) => (replaced = updated))));
  });
  expect((replaced as Thing).status).toMatchObject(status);
  if (takesMetadata)
    expect(replaced.metadata.annotations).toMatchObject({
      'patched-status': 'true',
      'updated-status': 'true',
    });
  else expect(replaced.metadata.annotations).not.toHaveProperty('patched-status');
  const seen = await resource.getSubresource<Thing>(name, 'status');
  expect(seen.status).toMatchObject(
    Object.fromEntries(
      Object.entries(status).map(([field, value]) => [
        field,
        Array.isArray(value)
          ? expect.arrayContaining(value.map((item): unknown => expect.objectContaining(item as object)))
          : value,
      ]),
    ),
  );
}

/** The group, its version and the resource are found, step by step as clients do. */
async function checkDiscovery(suite: Suite, type: ResourceType<Thing>, hasStatus: boolean): Promise<void> {
  interface GroupList {
    readonly groups: readonly { readonly name: string; readonly versions: readonly { version: string }[] }[];
  }
  interface ResourceList {
    readonly resources: readonly { readonly name: string; readonly kind: string; readonly verbs: string[] }[];
  }
  if (type.group !== '') {
    const { groups } = await suite.client.raw<GroupList>('/apis');
    const group = groups.find(({ name }) => name === type.group);
    expect(group?.versions.map(({ version }) => version)).toContain(type.version);
    expect(await suite.client.raw(`/apis/${type.group}`)).toMatchObject({
      kind: 'APIGroup',
      name: type.group,
    });
  }
  const path = type.group === '' ? `/api/${type.version}` : `/apis/${apiVersionOf(type)}`;
  const { resources } = await suite.client.raw<ResourceList>(path);
  const found = resources.find(({ name }) => name === type.resource);
  expect(found).toMatchObject({ kind: type.kind });
  for (const verb of ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'])
    expect(found?.verbs).toContain(verb);
  if (hasStatus) expect(resources.map(({ name }) => name)).toContain(`${type.resource}/status`);
}
