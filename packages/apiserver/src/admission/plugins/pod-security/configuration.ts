import {
  aggregateText,
  child,
  duplicate,
  fieldErrorText,
  index,
  invalidValue,
  isDNS1123Label,
  isDNS1123Subdomain,
  required,
  strictDecodingError,
  type FieldError,
  type JsonObject,
  type JsonValue,
} from '@k8ts/apimachinery';
import { ConfigurationError } from '../../../configuration/decode-configuration.ts';
import { checkPluginKind, knownFields, textOf } from '../../configuration/read-configuration.ts';
import {
  LEVELS,
  MODES,
  NO_POLICY,
  parseLevel,
  parseVersion,
  type LevelVersion,
  type Policy,
} from './policy.ts';

/** What the operator decides for all namespaces (pod-security.admission.config.k8s.io/v1 PodSecurityConfiguration). */
export interface PodSecurityConfiguration {
  /** For what the labels of a namespace leave out. */
  readonly defaults: Policy;
  /** Who and what is not held to any policy. */
  readonly exemptions: {
    readonly usernames: ReadonlySet<string>;
    readonly namespaces: ReadonlySet<string>;
    readonly runtimeClasses: ReadonlySet<string>;
  };
}

const NOBODY: ReadonlySet<string> = new Set();
export const NOTHING_CONFIGURED: PodSecurityConfiguration = {
  defaults: NO_POLICY,
  exemptions: { usernames: NOBODY, namespaces: NOBODY, runtimeClasses: NOBODY },
};

const DEFAULTS = MODES.flatMap((mode) => [mode, `${mode}-version`]);

/** Throws ConfigurationError. */
export function podSecurityConfiguration(configuration: JsonObject | undefined): PodSecurityConfiguration {
  if (configuration === undefined) return NOTHING_CONFIGURED;
  checkPluginKind(
    configuration,
    'pod-security.admission.config.k8s.io',
    ['v1', 'v1beta1', 'v1alpha1'],
    'PodSecurityConfiguration',
  );
  const unknown: string[] = [];
  const top = knownFields(configuration, ['apiVersion', 'kind', 'defaults', 'exemptions'], '', unknown);
  const given = knownFields(top['defaults'], DEFAULTS, 'defaults', unknown);
  const kinds = ['usernames', 'namespaces', 'runtimeClasses'];
  const exempt = knownFields(top['exemptions'], kinds, 'exemptions', unknown);
  if (unknown.length > 0) throw new ConfigurationError(strictDecodingError(unknown));

  const errors: FieldError[] = [];
  const read = <T>(
    name: string,
    otherwise: T,
    parse: (text: string) => T | undefined,
    problem: string,
  ): T => {
    const text = given[name];
    if (text === undefined || text === '') return otherwise;
    const value = parse(textOf(text));
    if (value === undefined) errors.push(invalidValue(child('defaults', name), text, problem));
    return value ?? otherwise;
  };
  const policyFor = (mode: (typeof MODES)[number]): LevelVersion => ({
    level: read(mode, NO_POLICY[mode].level, parseLevel, `must be one of ${LEVELS.join(', ')}`),
    version: read(`${mode}-version`, NO_POLICY[mode].version, parseVersion, 'must be "latest" or "v1.x"'),
  });
  // In the order in which upstream looks at them.
  const [enforce, warn, audit] = [policyFor('enforce'), policyFor('warn'), policyFor('audit')];
  const exemptions = {
    namespaces: names(exempt['namespaces'], 'exemptions.namespaces', isDNS1123Label, errors),
    runtimeClasses: names(exempt['runtimeClasses'], 'exemptions.runtimeClasses', isDNS1123Subdomain, errors),
    usernames: names(exempt['usernames'], 'exemptions.usernames', undefined, errors),
  };
  if (errors.length > 0) throw new ConfigurationError(aggregateText(errors.map(fieldErrorText)));
  return { defaults: { enforce, audit, warn }, exemptions };
}

/** Without a check: anything but nothing. */
function names(
  value: JsonValue | undefined,
  path: string,
  check: ((name: string) => readonly string[]) | undefined,
  errors: FieldError[],
): ReadonlySet<string> {
  const found = new Set<string>();
  const list = Array.isArray(value) ? value.map(textOf) : [];
  list.forEach((name, i) => {
    const problems = check?.(name) ?? [];
    if (check === undefined && name === '') errors.push(required(index(path, i), ''));
    else if (problems.length > 0) errors.push(invalidValue(index(path, i), name, problems.join(', ')));
    else if (found.has(name)) errors.push(duplicate(index(path, i), name));
    else found.add(name);
  });
  return found;
}
