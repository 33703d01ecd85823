import type { Clock, Logger, RunCommand } from '@k8ts/base';

import type { ProxyMode, ProxyModeOptions } from './contract.ts';
import { createNftablesMode } from './nftables/nftables-mode.ts';

export interface ProxyModeFactoryOptions extends ProxyModeOptions {
  /** What the mode's own things in the kernel are called. */
  readonly table?: string;
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The values of `--proxy-mode`. */
export type ProxyModeName = 'nftables';

export const proxyModes: Readonly<Record<ProxyModeName, (options: ProxyModeFactoryOptions) => ProxyMode>> = {
  nftables: createNftablesMode,
};
