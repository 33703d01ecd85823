/** Seconds. */
const LONGEST = 32;

/**
 * What refused clients are told to wait: longer and longer while many are refused, as TCP does it
 * (k8s.io/apiserver/pkg/util/flowcontrol: dropped_requests_tracker.go). One for each priority level.
 */
export class RetryAfter {
  /** Seconds. */
  value = 1;
  #second = 0;
  #inSecond = 0;
  #raisedAt = 0;
  #history: { readonly second: number; readonly refused: number }[] = [];

  /** `now` in milliseconds. */
  noteRefusal(now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) {
      this.#inSecond++;
      return;
    }
    if (this.#inSecond > 0) this.#history.push({ second: this.#second, refused: this.#inSecond });
    this.#second = second;
    this.#inSecond = 1;
    this.#history = this.#history.filter(
      (entry) => second - entry.second <= Math.min(2 * this.value, LONGEST),
    );
    this.#adapt(second);
  }

  #adapt(second: number): void {
    let refused = 0;
    for (const entry of this.#history) if (second - entry.second <= this.value) refused += entry.refused;
    if (second - this.#raisedAt >= this.value && refused >= 3 * this.value) {
      this.value = Math.min(2 * this.value, LONGEST);
      this.#raisedAt = second;
    } else if (refused < this.value && this.value > 1) this.value--;
  }
}
