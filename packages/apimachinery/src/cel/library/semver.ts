/** Kubernetes' semantic version library (semver.org 2.0.0; messages are github.com/blang/semver's). */
import { goQuote } from '../../go-quote.ts';
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { BOOL, INT, objectType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { UINT64_MAX } from '../value/arithmetic.ts';
import { CelError, CelOpaque, NO_SUCH_OVERLOAD } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

const SEMVER: CelType = objectType('kubernetes.Semver');

class Semver extends CelOpaque {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly prerelease: readonly (bigint | string)[];
  readonly text: string;

  constructor(
    text: string,
    numbers: readonly [bigint, bigint, bigint],
    prerelease: readonly (bigint | string)[],
  ) {
    super();
    this.text = text;
    this.numbers = numbers;
    this.prerelease = prerelease;
  }

  override get type(): CelType {
    return SEMVER;
  }

  override equals(other: CelValue): boolean | CelError {
    return other instanceof Semver ? this.compare(other) === 0 : NO_SUCH_OVERLOAD;
  }

  override toText(): string {
    return this.text;
  }

  compare(other: Semver): -1 | 0 | 1 {
    for (const [i, number] of this.numbers.entries()) {
      const against = other.numbers[i] as bigint;
      if (number !== against) return number > against ? 1 : -1;
    }
    if (this.prerelease.length === 0 || other.prerelease.length === 0)
      return this.prerelease.length === other.prerelease.length ? 0 : this.prerelease.length === 0 ? 1 : -1;
    for (const [i, part] of this.prerelease.entries()) {
      const against = other.prerelease[i];
      if (against === undefined) return 1;
      if (part === against) continue;
      if (typeof part !== typeof against) return typeof part === 'bigint' ? -1 : 1;
      return part > against ? 1 : -1;
    }
    return this.prerelease.length === other.prerelease.length ? 0 : -1;
  }
}

const NUMERIC = /^[0-9]+$/;
const ALPHANUMERIC = /^[0-9A-Za-z-]+$/;
const MAX_LENGTH = 10_000;

function parse(text: string, normalize = false): Semver | CelError {
  if (text.length > MAX_LENGTH) return new CelError('No Major.Minor.Patch elements found');
  if (!normalize) return parseStrict(text);
  const parts = splitTwice(text.replace(/^v/, '')).map((part) => {
    if (part.length <= 1) return part;
    const trimmed = part.replace(/^0+/, '');
    return /^[0-9]/.test(trimmed) ? trimmed : `0${trimmed}`;
  });
  if (parts.length < 3 && /[+-]/.test(parts.at(-1) as string))
    return new CelError('short version cannot contain PreRelease/Build meta data');
  while (parts.length < 3) parts.push('0');
  return parseStrict(parts.join('.'));
}

/** At the first two dots. */
function splitTwice(text: string): string[] {
  const parts = text.split('.');
  return parts.length <= 3 ? parts : [...parts.slice(0, 2), parts.slice(2).join('.')];
}

function parseStrict(text: string): Semver | CelError {
  if (text === '') return new CelError('Version string empty');
  const parts = splitTwice(text);
  if (parts.length !== 3) return new CelError('No Major.Minor.Patch elements found');
  const tail = parts[2] as string;
  const plus = tail.indexOf('+');
  const build = plus < 0 ? [] : tail.slice(plus + 1).split('.');
  const release = plus < 0 ? tail : tail.slice(0, plus);
  const dash = release.indexOf('-');
  const prerelease = dash < 0 ? [] : release.slice(dash + 1).split('.');
  const numbers: bigint[] = [];
  for (const [i, name] of ['major', 'minor', 'patch'].entries()) {
    const number = i < 2 ? (parts[i] as string) : dash < 0 ? release : release.slice(0, dash);
    if (!NUMERIC.test(number)) {
      // An empty number is refused by Go's number parser, not by the check for characters.
      if (number !== '')
        return new CelError(`Invalid character(s) found in ${name} number ${goQuote(number)}`);
      return new CelError('strconv.ParseUint: parsing "": invalid syntax');
    }
    if (number.length > 1 && number.startsWith('0'))
      return new CelError(
        `${name[0]?.toUpperCase() ?? ''}${name.slice(1)} number must not contain leading zeroes ${goQuote(number)}`,
      );
    const value = BigInt(number);
    if (value > UINT64_MAX)
      return new CelError(`strconv.ParseUint: parsing ${goQuote(number)}: value out of range`);
    numbers.push(value);
  }
  const identifiers: (bigint | string)[] = [];
  for (const part of prerelease) {
    if (part === '') return new CelError('Prerelease is empty');
    if (NUMERIC.test(part)) {
      if (part.length > 1 && part.startsWith('0'))
        return new CelError(`Numeric PreRelease version must not contain leading zeroes ${goQuote(part)}`);
      identifiers.push(BigInt(part));
    } else if (ALPHANUMERIC.test(part)) {
      identifiers.push(part);
    } else {
      return new CelError(`Invalid character(s) found in prerelease ${goQuote(part)}`);
    }
  }
  for (const part of build) {
    if (part === '') return new CelError('Build meta data is empty');
    if (!ALPHANUMERIC.test(part))
      return new CelError(`Invalid character(s) found in build meta data ${goQuote(part)}`);
  }
  return new Semver(text, numbers as [bigint, bigint, bigint], identifiers);
}

function numberOf(name: string, position: 0 | 1 | 2): FunctionDeclaration {
  return declareFunction(
    name,
    memberOverload(`semver_${name}`, [SEMVER], INT, (version: Semver): CelResult =>
      BigInt.asIntN(64, version.numbers[position]),
    ),
  );
}

const isSemver = (text: string, normalize?: boolean): CelResult => parse(text, normalize) instanceof Semver;

export const SEMVER_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction(
    'semver',
    overload('string_to_semver', [STRING], SEMVER, parse),
    overload('string_bool_to_semver', [STRING, BOOL], SEMVER, parse),
  ),
  declareFunction(
    'isSemver',
    overload('is_semver_string', [STRING], BOOL, isSemver),
    overload('is_semver_string_bool', [STRING, BOOL], BOOL, isSemver),
  ),
  declareFunction(
    'isGreaterThan',
    memberOverload(
      'semver_is_greater_than',
      [SEMVER, SEMVER],
      BOOL,
      (a: Semver, b: Semver) => a.compare(b) > 0,
    ),
  ),
  declareFunction(
    'isLessThan',
    memberOverload('semver_is_less_than', [SEMVER, SEMVER], BOOL, (a: Semver, b: Semver) => a.compare(b) < 0),
  ),
  declareFunction(
    'compareTo',
    memberOverload('semver_compare_to', [SEMVER, SEMVER], INT, (a: Semver, b: Semver) =>
      BigInt(a.compare(b)),
    ),
  ),
  numberOf('major', 0),
  numberOf('minor', 1),
  numberOf('patch', 2),
];
