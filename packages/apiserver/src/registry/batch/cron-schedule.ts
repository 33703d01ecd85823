/** Whether a cron schedule can be read; texts as github.com/robfig/cron/v3 has them. */

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FIELDS: readonly Bounds[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 6, names: DAYS },
];
const DESCRIPTORS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];
const EVERY = '@every ';
const DURATION = /^[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+$/;

/** What is wrong with the schedule. */
export function scheduleProblem(schedule: string): string | undefined {
  if (schedule === '') return 'empty spec string';
  const zone = /^(?:CRON_)?TZ=([^ ]*) *(.*)$/s.exec(schedule);
  const spec = zone === null ? schedule : (zone[2] as string).trim();
  if (zone !== null && !isTimeZone(zone[1] as string))
    return `provided bad location ${zone[1]}: unknown time zone ${zone[1]}`;
  if (spec.startsWith('@')) return descriptorProblem(spec);
  const fields = spec.split(/\s+/).filter((field) => field !== '');
  if (fields.length !== FIELDS.length)
    return `expected exactly ${FIELDS.length} fields, found ${fields.length}: [${fields.join(' ')}]`;
  for (const [i, field] of fields.entries())
    for (const range of field.split(',').filter((part) => part !== '')) {
      const problem = rangeProblem(range, FIELDS[i] as Bounds);
      if (problem !== undefined) return problem;
    }
  return undefined;
}

export function isTimeZone(name: string): boolean {
  if (name === '' || name === 'UTC' || name === 'Local') return true;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function descriptorProblem(text: string): string | undefined {
  if (DESCRIPTORS.includes(text)) return undefined;
  if (!text.startsWith(EVERY)) return `unrecognized descriptor: ${text}`;
  const duration = text.slice(EVERY.length);
  return DURATION.test(duration) || duration === '0'
    ? undefined
    : `failed to parse duration ${text}: time: invalid duration "${duration}"`;
}

/** `number | * | ?`, `number-number`, each with `/step`. */
function rangeProblem(text: string, bounds: Bounds): string | undefined {
  const [range = '', stepText, ...moreSteps] = text.split('/');
  const [low = '', high, ...moreHigh] = range.split('-');
  let start = bounds.min;
  let end = bounds.max;
  if (low !== '*' && low !== '?') {
    const from = numberIn(low, bounds);
    if (typeof from === 'string') return from;
    start = end = from;
    if (moreHigh.length > 0) return `too many hyphens: ${text}`;
    if (high !== undefined) {
      const to = numberIn(high, bounds);
      if (typeof to === 'string') return to;
      end = to;
    }
  }
  let step = 1;
  if (moreSteps.length > 0) return `too many slashes: ${text}`;
  if (stepText !== undefined) {
    const parsed = plainNumber(stepText);
    if (typeof parsed === 'string') return parsed;
    step = parsed;
    if (high === undefined) end = bounds.max;
  }
  if (start < bounds.min) return `beginning of range (${start}) below minimum (${bounds.min}): ${text}`;
  if (end > bounds.max) return `end of range (${end}) above maximum (${bounds.max}): ${text}`;
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${text}`;
  return step === 0 ? `step of range should be a positive number: ${text}` : undefined;
}

/** A number, or the text of an error. */
function numberIn(text: string, { names = [], min }: Bounds): number | string {
  const position = names.indexOf(text.toLowerCase());
  return position >= 0 ? position + min : plainNumber(text);
}

function plainNumber(text: string): number | string {
  if (!/^[+-]?[0-9]{1,15}$/.test(text))
    return `failed to parse int from ${text}: strconv.Atoi: parsing "${text}": invalid syntax`;
  const value = Number(text);
  return value < 0 ? `negative number (${value}) not allowed: ${text}` : value;
}
