/**
 * Runs `count` tasks in batches that double while all succeed: 1, 2, 4, 8 … A quota that refuses the first pod is then
 * asked once and not five hundred times. Returns how many succeeded, and the first error.
 */
export async function slowStart(
  count: number,
  task: (index: number) => Promise<void>,
): Promise<{ readonly successes: number; readonly error: unknown }> {
  let successes = 0;
  let started = 0;
  for (let batch = Math.min(count, 1); batch > 0; batch = Math.min(2 * batch, count - started)) {
    const results = await Promise.allSettled(
      Array.from({ length: batch }, (_, offset) => task(started + offset)),
    );
    started += batch;
    let error: unknown;
    let failed = false;
    for (const result of results) {
      if (result.status === 'fulfilled') successes++;
      else if (!failed) {
        failed = true;
        error = result.reason;
      }
    }
    if (failed) return { successes, error };
  }
  return { successes, error: undefined };
}
