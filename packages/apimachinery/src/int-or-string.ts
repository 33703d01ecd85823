/** Numbers or names or percentages (`maxSurge: 25%`), after k8s.io/apimachinery/pkg/util/intstr. */
export type IntOrStringValue = number | string;

/** Reads `25%` of `total`, or a plain number. Throws Error with upstream's text for other strings. */
export function scaledIntOrPercent(value: IntOrStringValue, total: number, roundUp: boolean): number {
  if (typeof value === 'number') return value;
  const percent = parsePercent(value);
  const share = (percent * total) / 100;
  return roundUp ? Math.ceil(share) : Math.floor(share);
}

function parsePercent(value: string): number {
  if (!value.endsWith('%'))
    throw new Error('invalid value for IntOrString: invalid type: string is not a percentage');
  const digits = value.slice(0, -1);
  if (!/^[+-]?[0-9]{1,15}$/.test(digits))
    throw new Error(
      `invalid value for IntOrString: invalid value "${value}": strconv.Atoi: parsing "${digits}": invalid syntax`,
    );
  return Number(digits);
}

/** What a command line means by `8080` or `http`: a number where it is one that fits 32 bits. */
export function parseIntOrString(text: string): IntOrStringValue {
  if (!/^[+-]?[0-9]{1,10}$/.test(text)) return text;
  const value = Number(text);
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : text;
}

/** The number, or what the string holds of one, or 0. */
export function intValueOf(value: IntOrStringValue): number {
  if (typeof value === 'number') return value;
  return /^[+-]?[0-9]{1,15}$/.test(value) ? Number(value) : 0;
}
