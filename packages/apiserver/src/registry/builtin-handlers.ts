import { bindingHandler, podBindingHandler } from './core/pod-binding.ts';
import { evictionHandler } from './policy/eviction.ts';
import type { SpecialHandler } from './special-subresources.ts';

/** What the built-in kinds need beside strategies, and that depends on nothing but the registry. */
export const builtinSpecialHandlers: readonly SpecialHandler[] = [
  bindingHandler,
  podBindingHandler,
  evictionHandler,
];
