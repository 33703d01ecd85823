/**
 * Bounds the work of one evaluation that its cost does not show: comparing nested lists costs what the outer one is long,
 * `replace` costs what it reads and not what it makes. Upstream has no such bound.
 *
 * Evaluations are synchronous, so the meter of the running one is kept here.
 */

/** The evaluation is given up; the text is cel-go's. */
export class EvaluationCancelled extends Error {
  override readonly name = 'EvaluationCancelled';

  constructor() {
    super('operation cancelled: actual cost limit exceeded');
  }
}

/** Elements looked at, and sixteenths of characters made, in one evaluation: about a second. */
const MAX_STEPS = 20_000_000;
const CHARACTERS_PER_STEP = 16;

let steps = 0;

/** Runs `work` with a meter of its own. */
export function metered<T>(work: () => T): T {
  const outer = steps;
  steps = 0;
  try {
    return work();
  } finally {
    steps = outer;
  }
}

/** Throws EvaluationCancelled when the evaluation has done too much. */
export function spend(count: number): void {
  steps += count;
  if (steps > MAX_STEPS) throw new EvaluationCancelled();
}

/** Before a text or a list of bytes of that length is made. */
export function spendCharacters(length: number): void {
  spend(length / CHARACTERS_PER_STEP);
}
