import { hostname } from 'node:os';
import type { Random } from '@k8ts/base';
import { UserError } from '@k8ts/cli';
import type { ComponentFlag } from '@k8ts/cli';

/** Values as given, by the flags' names. */
export type Flags = Readonly<Record<string, string>>;

export function flag(name: string, description: string, value?: string): ComponentFlag {
  return { name, description, ...(value === undefined ? {} : { default: value }) };
}

export function required(name: string, description: string): ComponentFlag {
  return { name, description, required: true };
}

export const KUBECONFIG: ComponentFlag = required('kubeconfig', 'how to reach the API server');
export const LEADER_ELECT: ComponentFlag = flag(
  'leader-elect',
  'take part in an election before working: true or false',
  'true',
);

/** Throws `UserError` for anything but true and false. */
export function boolean(flags: Flags, name: string): boolean {
  const value = flags[name];
  if (value === 'true' || value === 'false') return value === 'true';
  throw new UserError(`--${name} takes true or false; this is ${value ?? ''}`);
}

/** `machine_a1b2c…`, as upstream's. */
export function leaderIdentity(random: Random): string {
  return `${hostname()}_${Math.floor(random() * 2 ** 48).toString(16)}`;
}
