/** The half-life of the smoothing is 5 minutes of 10 s each (upstream: seatDemandSmoothingCoefficient). */
const SMOOTHING = 0.977;

/**
 * How many seats a priority level could have used, over time (k8s.io/apiserver/pkg/util/flowcontrol: integrator.go and
 * seatDemandStats). Times are milliseconds.
 */
export class SeatDemand {
  /** Seats, over the last period. */
  highWatermark = 0;
  average = 0;
  deviation = 0;
  /** Follows rises at once and falls slowly. */
  smoothed = 0;
  #current = 0;
  #since: number;
  #duration = 0;
  #area = 0;
  #squares = 0;
  #highest = 0;

  constructor(now: number) {
    this.#since = now;
  }

  set(seats: number, now: number): void {
    this.#advance(now);
    this.#current = seats;
    if (seats > this.#highest) this.#highest = seats;
  }

  /** Ends a period. */
  closePeriod(now: number): void {
    this.#advance(now);
    this.highWatermark = this.#highest;
    if (this.#duration > 0) {
      this.average = this.#area / this.#duration;
      this.deviation = Math.sqrt(Math.max(0, this.#squares / this.#duration - this.average ** 2));
      const envelope = this.average + this.deviation;
      this.smoothed = Math.max(envelope, SMOOTHING * this.smoothed + (1 - SMOOTHING) * envelope);
    }
    this.#duration = this.#area = this.#squares = 0;
    this.#highest = this.#current;
  }

  #advance(now: number): void {
    const passed = now - this.#since;
    if (passed <= 0) return;
    this.#since = now;
    this.#duration += passed;
    this.#area += this.#current * passed;
    this.#squares += this.#current ** 2 * passed;
  }
}
