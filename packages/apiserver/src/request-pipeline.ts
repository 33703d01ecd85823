/**
 * What every request passes, in this order. A step that has nothing to wait for returns nothing, so the usual request goes
 * through without a promise. Whatever a step throws becomes a Status and ends the request.
 *
 *     requestInfo → authenticate → audit → impersonate → fairness → authorize → route
 */
import type { RequestContext } from './request/request-context.ts';
import type { Result } from './request/result.ts';

export interface PipelineStep {
  readonly name: string;
  run(context: RequestContext): void | Promise<void>;
}

export interface Pipeline {
  readonly steps: readonly PipelineStep[];
  /** The end of the pipeline: what the request is about is done here. */
  readonly route: (context: RequestContext) => Result | Promise<Result>;
}

export function runPipeline(pipeline: Pipeline, context: RequestContext): Result | Promise<Result> {
  return runFrom(pipeline, context, 0);
}

function runFrom(pipeline: Pipeline, context: RequestContext, from: number): Result | Promise<Result> {
  const { steps } = pipeline;
  for (let at = from; at < steps.length; at++) {
    const pending = (steps[at] as PipelineStep).run(context);
    if (pending !== undefined) return pending.then(() => runFrom(pipeline, context, at + 1));
  }
  return pipeline.route(context);
}
