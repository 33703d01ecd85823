import type { KubeObject, ResourceType } from '@k8ts/api';
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin } from '../admission/contract.ts';

interface Applicable {
  readonly mutating: readonly AdmissionPlugin[];
  readonly validating: readonly AdmissionPlugin[];
}

/** The admission plugins in their order. Which of them look at a resource is asked once and remembered. */
export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];
  readonly #applicable = new Map<string, Applicable>();

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  /** Runs the mutating parts, once more where one of them asks for it; a promise only where a plugin waits. */
  admit(attributes: AdmissionAttributes): void | Promise<void> {
    const { mutating } = this.#for(attributes);
    const step = (plugin: AdmissionPlugin): void | Promise<void> => plugin.admit?.(attributes);
    const again = (): void | Promise<void> => {
      const { reinvocation } = attributes;
      if (reinvocation?.state !== 'wanted') return;
      reinvocation.state = 'running';
      return run(mutating, 0, step);
    };
    const pending = run(mutating, 0, step);
    return pending === undefined ? again() : pending.then(again);
  }

  /** Runs the validating parts. */
  validate(attributes: AdmissionAttributes): void | Promise<void> {
    return run(this.#for(attributes).validating, 0, (plugin) => plugin.validate?.(attributes));
  }

  /** Nobody wants to see this operation. */
  ignores(operation: AdmissionOperation, resource: ResourceType<KubeObject>, subresource: string): boolean {
    const { mutating, validating } = this.#lookUp(operation, resource, subresource);
    return mutating.length === 0 && validating.length === 0;
  }

  #for({ operation, resource, subresource }: AdmissionAttributes): Applicable {
    return this.#lookUp(operation, resource, subresource);
  }

  #lookUp(
    operation: AdmissionOperation,
    resource: ResourceType<KubeObject>,
    subresource: string,
  ): Applicable {
    const key = `${operation}/${resource.group}/${resource.version}/${resource.resource}/${subresource}`;
    let found = this.#applicable.get(key);
    if (found === undefined) {
      const interested = this.#plugins.filter(
        (plugin) => plugin.operations.includes(operation) && plugin.handles(resource, subresource),
      );
      found = {
        mutating: interested.filter((plugin) => plugin.admit !== undefined),
        validating: interested.filter((plugin) => plugin.validate !== undefined),
      };
      this.#applicable.set(key, found);
    }
    return found;
  }
}

function run(
  plugins: readonly AdmissionPlugin[],
  from: number,
  step: (plugin: AdmissionPlugin) => void | Promise<void>,
): void | Promise<void> {
  for (let at = from; at < plugins.length; at++) {
    const pending = step(plugins[at] as AdmissionPlugin);
    if (pending !== undefined) return pending.then(() => run(plugins, at + 1, step));
  }
}
