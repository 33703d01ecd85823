/**
 * The names that an expression may use: Kubernetes 1.36's functions and types (k8s.io/apiserver/pkg/cel/environment), and
 * the variables of the place where it stands.
 */
import { mergeFunctions } from './language/function.ts';
import type { FunctionDeclaration } from './language/function.ts';
import { LIST, MAP, NULL, OPTIONAL } from './language/type.ts';
import type { CelType } from './language/type.ts';
import { AUTHORIZATION_TYPES, AUTHORIZER_LIBRARY } from './library/authorizer.ts';
import { FORMAT_LIBRARY } from './library/formats.ts';
import { KUBERNETES_LISTS_LIBRARY, LISTS_LIBRARY, SETS_LIBRARY } from './library/lists.ts';
import { CIDR_TYPE, IP_TYPE, NETWORK_LIBRARY } from './library/network.ts';
import { COMPREHENSIONS_LIBRARY, OPTIONALS_LIBRARY } from './library/optionals.ts';
import { QUANTITY_LIBRARY } from './library/quantity.ts';
import { REGEX_LIBRARY } from './library/regex.ts';
import { SEMVER_LIBRARY } from './library/semver.ts';
import { STANDARD_LIBRARY, STANDARD_TYPES } from './library/standard.ts';
import { STRINGS_LIBRARY } from './library/strings.ts';
import { URL_LIBRARY } from './library/urls.ts';
import type { SizeEstimator } from './language/cost-estimate.ts';

export interface CelEnvironment {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly types: ReadonlyMap<string, CelType>;
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  /** The type of an object's field; undefined where the object has no such field. */
  readonly fieldType: (typeName: string, field: string) => CelType | undefined;
  /** The type that `name{…}` makes; undefined where there is none of that name. */
  readonly messageType: (name: string) => CelType | undefined;
  /** Bounds of the data behind the variables, for cost estimates. */
  readonly sizeAt: SizeEstimator;
}

const FUNCTIONS: ReadonlyMap<string, FunctionDeclaration> = mergeFunctions([
  STANDARD_LIBRARY,
  URL_LIBRARY,
  REGEX_LIBRARY,
  KUBERNETES_LISTS_LIBRARY,
  OPTIONALS_LIBRARY,
  QUANTITY_LIBRARY,
  STRINGS_LIBRARY,
  SETS_LIBRARY,
  NETWORK_LIBRARY,
  FORMAT_LIBRARY,
  COMPREHENSIONS_LIBRARY,
  SEMVER_LIBRARY,
  LISTS_LIBRARY,
  AUTHORIZER_LIBRARY,
]);

const TYPES: ReadonlyMap<string, CelType> = new Map(
  [...STANDARD_TYPES, LIST, MAP, NULL, OPTIONAL, IP_TYPE, CIDR_TYPE, ...AUTHORIZATION_TYPES].map((type) => [
    type.name,
    type,
  ]),
);

export interface CelEnvironmentInit {
  readonly variables?: Readonly<Record<string, CelType>>;
  readonly fieldType?: CelEnvironment['fieldType'];
  readonly messageType?: CelEnvironment['messageType'];
  /** Beyond those that are known everywhere. */
  readonly functions?: readonly FunctionDeclaration[];
  readonly sizeAt?: SizeEstimator;
}

export function createCelEnvironment(init: CelEnvironmentInit = {}): CelEnvironment {
  return {
    variables: new Map(Object.entries(init.variables ?? {})),
    types: TYPES,
    functions:
      init.functions === undefined
        ? FUNCTIONS
        : new Map([...FUNCTIONS, ...init.functions.map((declared) => [declared.name, declared] as const)]),
    fieldType: init.fieldType ?? (() => undefined),
    messageType: init.messageType ?? (() => undefined),
    sizeAt: init.sizeAt ?? (() => undefined),
  };
}
