/** Kubernetes' named formats: `!format.dns1123Label().validate(name).hasValue()`. */
import {
  isQualifiedName,
  isValidLabelValue,
  nameIsDNS1035Label,
  nameIsDNSLabel,
  nameIsDNSSubdomain,
} from '../../validation/names.ts';
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { listType, objectType, optionalType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { stringList } from '../value/list.ts';
import { parseDate } from '../value/time.ts';
import { CelOpaque, CelOptional, CelTimestamp, NO_SUCH_OVERLOAD, OPTIONAL_NONE } from '../value/value.ts';
import type { CelValue, CelError } from '../value/value.ts';
import { parseRequestUri, UrlError } from './go-url.ts';

const FORMAT: CelType = objectType('kubernetes.NamedFormat');

class NamedFormat extends CelOpaque {
  readonly name: string;
  readonly validate: (text: string) => readonly string[];
  readonly #patternLength: number;

  constructor(name: string, patternLength: number, validate: (text: string) => readonly string[]) {
    super();
    this.name = name;
    this.#patternLength = patternLength;
    this.validate = validate;
  }

  /** The length of the pattern that validating is charged for. */
  override get size(): number {
    return this.#patternLength;
  }

  override get type(): CelType {
    return FORMAT;
  }

  override equals(other: CelValue): boolean | CelError {
    return other instanceof NamedFormat ? this.name === other.name : NO_SUCH_OVERLOAD;
  }

  override toText(): string {
    return this.name;
  }
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const TIME = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function uriProblems(text: string): readonly string[] {
  try {
    parseRequestUri(text);
    return [];
  } catch (error) {
    if (error instanceof UrlError) return [error.message];
    throw error;
  }
}

function isDate(text: string): boolean {
  return parseDate(text) instanceof CelTimestamp;
}

/** k8s.io/kube-openapi's IsDateTime. */
function isDateTime(text: string): boolean {
  const [date = '', time] = text.toLowerCase().split('t');
  if (time === undefined || !isDate(date)) return false;
  const match = TIME.exec(time);
  return (
    match !== null &&
    (match[1] as string) <= '23' &&
    (match[2] as string) <= '59' &&
    (match[3] as string) <= '59'
  );
}

function problemUnless(
  valid: (text: string) => boolean,
  problem: string,
): (text: string) => readonly string[] {
  return (text) => (valid(text) ? [] : [problem]);
}

const FORMATS: ReadonlyMap<string, NamedFormat> = new Map(
  (
    [
      ['dns1123Label', 'DNS1123Label', 30, (text) => nameIsDNSLabel(text, false)],
      ['dns1123Subdomain', 'DNS1123Subdomain', 60, (text) => nameIsDNSSubdomain(text, false)],
      ['dns1035Label', 'DNS1035Label', 30, (text) => nameIsDNS1035Label(text, false)],
      ['qualifiedName', 'QualifiedName', 60, isQualifiedName],
      ['dns1123LabelPrefix', 'DNS1123LabelPrefix', 30, (text) => nameIsDNSLabel(text, true)],
      ['dns1123SubdomainPrefix', 'DNS1123SubdomainPrefix', 60, (text) => nameIsDNSSubdomain(text, true)],
      ['dns1035LabelPrefix', 'DNS1035LabelPrefix', 30, (text) => nameIsDNS1035Label(text, true)],
      ['labelValue', 'LabelValue', 40, isValidLabelValue],
      ['uri', 'URI', 1103, uriProblems],
      ['uuid', 'uuid', 79, problemUnless((text) => UUID.test(text), 'does not match the UUID format')],
      ['byte', 'byte', 84, problemUnless((text) => text !== '' && BASE64.test(text), 'invalid base64')],
      ['date', 'date', 74, problemUnless(isDate, 'invalid date')],
      ['datetime', 'datetime', 74, problemUnless(isDateTime, 'invalid datetime')],
    ] satisfies readonly (readonly [string, string, number, (text: string) => readonly string[]])[]
  ).map(([key, name, size, validate]) => [key, new NamedFormat(name, size, validate)]),
);

export const FORMAT_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'validate',
    memberOverload(
      'format-validate',
      [FORMAT, STRING],
      optionalType(listType(STRING)),
      (format: NamedFormat, text: string) => {
        const problems = format.validate(text);
        return problems.length === 0 ? OPTIONAL_NONE : new CelOptional(stringList(problems));
      },
    ),
  ),
  declareFunction(
    'format.named',
    overload('format-named', [STRING], optionalType(FORMAT), (name: string) => {
      const format = FORMATS.get(name);
      return format === undefined ? OPTIONAL_NONE : new CelOptional(format);
    }),
  ),
  ...[...FORMATS].map(([name, format]) =>
    declareFunction(
      `format.${name}`,
      overload(`format.${name}`, [], FORMAT, () => format),
    ),
  ),
];
