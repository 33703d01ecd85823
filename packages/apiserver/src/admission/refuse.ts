import { forbidden } from '@k8ts/apimachinery';
import type { StatusError } from '@k8ts/apimachinery';
import type { KubeObject, ResourceType } from '@k8ts/api';
import type { AdmissionAttributes } from './contract.ts';

/** A plugin's refusal: `pods "web" is forbidden: <message>`. */
export function refuse(attributes: AdmissionAttributes, message: string): StatusError {
  return forbidden(attributes.resource, refusedName(attributes), message);
}

/** A creation may not have its name yet. */
function refusedName({ name, object }: AdmissionAttributes): string {
  return (
    [name, object?.metadata.name, object?.metadata.generateName].find((candidate) => candidate) ?? 'Unknown'
  );
}

/** Whether a resource is the one meant, in whatever version. */
export function isResource(
  candidate: ResourceType<KubeObject>,
  ...meant: readonly ResourceType<KubeObject>[]
): boolean {
  return meant.some(({ group, resource }) => candidate.group === group && candidate.resource === resource);
}
