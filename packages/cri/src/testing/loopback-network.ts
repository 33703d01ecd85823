import type { PodNetwork } from '../contract.ts';

/** A pod network that is none: every sandbox has its loopback, which is up already. For tests of runtimes. */
export function loopbackNetwork(): PodNetwork & { readonly pods: ReadonlySet<string> } {
  const pods = new Set<string>();
  return {
    pods,
    notReadyReason: () => undefined,
    setUp: async ({ sandboxId }) => {
      pods.add(sandboxId);
      return { ips: ['127.0.0.1'] };
    },
    tearDown: async ({ sandboxId }) => {
      pods.delete(sandboxId);
    },
  };
}
