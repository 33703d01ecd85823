/** Waits in real time until `condition` holds; fails with the last reason after `limit` milliseconds. */
export async function until(condition: () => boolean | Promise<boolean>, limit = 5_000): Promise<void> {
  const end = performance.now() + limit;
  for (;;) {
    if (await condition()) return;
    if (performance.now() > end)
      throw new Error(`condition does not hold after ${limit} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
