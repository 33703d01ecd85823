/**
 * API priority and fairness (KEP-1040): every request belongs to a flow schema, and so to a priority level with seats of its
 * own. Requests that find none wait in the level's queues, so that no client keeps the others from being served.
 *
 *     request → flow schema (who, what) → priority level (seats, queues) → flow (hash) → queue
 *
 * The configuration is read anew when its objects have changed, with the next request or tick.
 */
import { flowcontrolv1 } from '@k8ts/api';
import type { Clock } from '@k8ts/base';
import type { UserInfo } from '../authentication/contract.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { RequestInfo } from '../request/request-info.ts';
import { allocateConcurrency } from './concurrency-allocation.ts';
import { CATCH_ALL, MANDATORY_FLOW_SCHEMAS, MANDATORY_PRIORITY_LEVELS } from './default-configuration.ts';
import { flowDistinguisher, matchesFlowSchema } from './flow-schema-match.ts';
import type { FlowControlMetrics, FlowMetrics } from './flow-control-metrics.ts';
import { isUsable, PriorityLevel } from './priority-level.ts';
import { hashFlow } from './shuffle-sharding.ts';

type FlowSchema = flowcontrolv1.FlowSchema;

/** Milliseconds between adjustments of who borrows from whom (upstream: borrowingAdjustmentPeriod). */
export const ADJUSTMENT_PERIOD = 10_000;

export interface Classification {
  readonly flowSchema: FlowSchema;
  readonly level: PriorityLevel;
  readonly metrics: FlowMetrics;
}

export interface FlowControlOptions {
  readonly objects: Pick<ObjectReader, 'list' | 'version'>;
  readonly clock: Clock;
  /** Seats for everything that is not exempt: --max-requests-inflight and --max-mutating-requests-inflight. */
  readonly seats: number;
  readonly metrics: FlowControlMetrics;
}

export class FlowControl {
  readonly #options: FlowControlOptions;
  #levels = new Map<string, PriorityLevel>();
  /** The way they are matched: each with its level. */
  #flowSchemas: readonly Classification[] = [];
  #catchAll: Classification | undefined = undefined;
  /** Versions of what was digested. */
  #seenSchemas = -1;
  #seenLevels = -1;

  constructor(options: FlowControlOptions) {
    this.#options = options;
  }

  classify(user: UserInfo, info: RequestInfo): Classification {
    this.#refresh();
    for (const candidate of this.#flowSchemas)
      if (matchesFlowSchema(candidate.flowSchema, user, info)) return candidate;
    // Whoever is neither authenticated nor not; there is no such user.
    return this.#catchAll as Classification;
  }

  /** Tells flows of one level apart, for their queues. */
  flowHash({ flowSchema, level }: Classification, user: UserInfo, info: RequestInfo): number {
    if (level.isExempt) return 0;
    return hashFlow(flowSchema.metadata.name, flowDistinguisher(flowSchema, user, info));
  }

  /** Lends seats that are not needed to levels that could use more; to be called every ADJUSTMENT_PERIOD. */
  adjust(): void {
    this.#refresh();
    for (const level of this.#levels.values()) if (level.isLeaving && level.queues.isIdle) this.#digest();
    const now = this.#options.clock.monotonic();
    for (const level of this.#levels.values()) level.demand.closePeriod(now);
    this.#divide();
  }

  #refresh(): void {
    const { objects } = this.#options;
    const schemas = objects.version(flowcontrolv1.flowSchemas);
    const levels = objects.version(flowcontrolv1.priorityLevelConfigurations);
    if (schemas === this.#seenSchemas && levels === this.#seenLevels) return;
    this.#seenSchemas = schemas;
    this.#seenLevels = levels;
    this.#digest();
  }

  #digest(): void {
    const { objects, clock, seats, metrics } = this.#options;
    const configurations = withMandatory(
      objects.list(flowcontrolv1.priorityLevelConfigurations).filter(isUsable),
      MANDATORY_PRIORITY_LEVELS,
    );
    const levels = new Map<string, PriorityLevel>();
    for (const configuration of configurations) {
      const { name } = configuration.metadata;
      const level = this.#levels.get(name) ?? new PriorityLevel(configuration, clock);
      level.configuration = configuration;
      level.isLeaving = false;
      levels.set(name, level);
    }
    this.#flowSchemas = withMandatory(objects.list(flowcontrolv1.flowSchemas), MANDATORY_FLOW_SCHEMAS)
      .flatMap((flowSchema): Classification[] => {
        const level = levels.get(flowSchema.spec.priorityLevelConfiguration.name);
        if (level === undefined) return [];
        return [{ flowSchema, level, metrics: metrics.of(level.name, flowSchema.metadata.name) }];
      })
      .sort(byPrecedence);
    this.#catchAll = this.#flowSchemas.find(({ flowSchema }) => flowSchema.metadata.name === CATCH_ALL);
    // Levels that are no longer wanted keep their share until their last request is done.
    for (const [name, level] of this.#levels)
      if (!levels.has(name) && !level.queues.isIdle) {
        level.isLeaving = true;
        levels.set(name, level);
      }
    const known = this.#levels;
    this.#levels = levels;
    let shareSum = 0;
    for (const level of levels.values()) shareSum += level.shares;
    for (const [name, level] of levels) {
      level.setShare(seats, shareSum);
      if (!known.has(name)) level.current = level.nominal - Math.floor((level.nominal - level.lower) / 2);
      metrics.setLimits(level);
    }
    this.#divide();
  }

  /**
   * Exempt levels take what they use; the rest is divided so that every level has at least what it needs of its own share,
   * and beyond that the same part of its demand.
   */
  #divide(): void {
    const limited = [...this.#levels.values()].filter((level) => !level.isExempt);
    const total = sum([...this.#levels.values()].map(({ nominal }) => nominal));
    let remaining = total;
    for (const level of this.#levels.values()) {
      if (!level.isExempt) continue;
      const used = Math.max(level.lower, level.demand.highWatermark);
      remaining -= used;
      level.setCurrent(used);
    }
    const needed = (level: PriorityLevel): number =>
      Math.max(level.lower, Math.min(level.nominal, level.demand.highWatermark));
    const lowest = sum(limited.map(({ lower }) => lower));
    const wanted = sum(limited.map(needed));
    const { metrics } = this.#options;
    const set = (level: PriorityLevel, seats: number, target: number): void => {
      level.setCurrent(seats);
      metrics.setCurrent(level, target);
    };
    if (remaining <= wanted) {
      // The exempt levels leave less than the others need: what is above the lower limits shrinks alike.
      const part = remaining <= lowest ? 0 : (remaining - lowest) / (wanted - lowest);
      metrics.setFairFraction(0);
      for (const level of limited)
        set(level, level.lower + Math.round((needed(level) - level.lower) * part), needed(level));
      return;
    }
    const claims = limited.map((level) => ({
      target: Math.max(needed(level), level.demand.smoothed),
      lower: needed(level),
      upper: level.upper,
    }));
    const { seats, fairFraction } = allocateConcurrency(
      Math.min(total, sum(claims.map(({ upper }) => upper))),
      claims,
    );
    metrics.setFairFraction(fairFraction);
    limited.forEach((level, i) => set(level, Math.round(seats[i] as number), claims[i]?.target ?? 0));
  }
}

/** What must be there is, even while its object is not. */
function withMandatory<T extends { readonly metadata: { readonly name: string } }>(
  objects: readonly T[],
  mandatory: readonly T[],
): readonly T[] {
  const names = new Set(objects.map(({ metadata }) => metadata.name));
  return [...objects, ...mandatory.filter(({ metadata }) => !names.has(metadata.name))];
}

/** Equal ones go by name. */
function byPrecedence({ flowSchema: a }: Classification, { flowSchema: b }: Classification): number {
  const difference = (a.spec.matchingPrecedence ?? 0) - (b.spec.matchingPrecedence ?? 0);
  if (difference !== 0) return difference;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
