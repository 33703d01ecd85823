import { forbidden } from '@k8ts/apimachinery';
import type { StatusError } from '@k8ts/apimachinery';
import type { KubeObject, ResourceType } from '@k8ts/api';
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin } from './contract.ts';

/** The admission plugins of one server. */
export interface Admission {
  /** Lets the plugins change `attributes.object`. */
  admit(attributes: AdmissionAttributes): void | Promise<void>;
  /** Lets the plugins judge the result. */
  validate(attributes: AdmissionAttributes): void | Promise<void>;
}

/** Plugins run in the order given. Which of them care for a resource and operation is found once. */
export function createAdmission(plugins: readonly AdmissionPlugin[]): Admission {
  const chains = new Map<ResourceType<KubeObject>, Map<string, Chain>>();

  const chainFor = ({ resource, subresource, operation }: AdmissionAttributes): Chain => {
    let ofResource = chains.get(resource);
    if (ofResource === undefined) chains.set(resource, (ofResource = new Map<string, Chain>()));
    const key = `${operation}/${subresource}`;
    let chain = ofResource.get(key);
    if (chain === undefined)
      ofResource.set(key, (chain = chainOf(plugins, resource, subresource, operation)));
    return chain;
  };

  return {
    admit: (attributes) => run(chainFor(attributes).admit, attributes, 0),
    validate: (attributes) => run(chainFor(attributes).validate, attributes, 0),
  };
}

type Step = (attributes: AdmissionAttributes) => void | Promise<void>;

interface Chain {
  readonly admit: readonly Step[];
  readonly validate: readonly Step[];
}

function chainOf(
  plugins: readonly AdmissionPlugin[],
  resource: ResourceType<KubeObject>,
  subresource: string,
  operation: AdmissionOperation,
): Chain {
  const relevant = plugins.filter(
    (plugin) => plugin.operations.includes(operation) && plugin.handles(resource, subresource),
  );
  return {
    admit: relevant.flatMap((plugin) => (plugin.admit === undefined ? [] : [plugin.admit.bind(plugin)])),
    validate: relevant.flatMap((plugin) =>
      plugin.validate === undefined ? [] : [plugin.validate.bind(plugin)],
    ),
  };
}

function run(steps: readonly Step[], attributes: AdmissionAttributes, first: number): void | Promise<void> {
  for (let index = first; index < steps.length; index++) {
    const pending = (steps[index] as Step)(attributes);
    if (pending !== undefined) return pending.then(() => run(steps, attributes, index + 1));
  }
}

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
