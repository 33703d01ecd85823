/** /healthz, /livez and /readyz as load balancers, kubectl and upstream's tooling read them (apiserver/pkg/server/healthz). */
import type { RequestContext } from '../request/request-context.ts';
import { rawText, type RawResult } from '../request/result.ts';

export interface HealthCheck {
  readonly name: string;
  /** Undefined when well, else why not. */
  readonly check: () => string | undefined | Promise<string | undefined>;
}

export const PING: HealthCheck = { name: 'ping', check: () => undefined };

/** `kind` is `healthz`, `livez` or `readyz`; `rest` names a single check. */
export async function healthResult(
  kind: string,
  rest: string,
  checks: readonly HealthCheck[],
  context: RequestContext,
): Promise<RawResult> {
  if (rest !== '') {
    const single = checks.find(({ name }) => name === rest);
    if (single === undefined) return rawText('404 page not found\n', 404);
    const failure = await single.check();
    if (failure !== undefined) return rawText(`internal server error: ${failure}\n`, 500);
    return health('ok');
  }
  const excluded = new Set(context.query.getAll('exclude'));
  let text = '';
  let failed = false;
  const failing: string[] = [];
  for (const { name, check } of checks) {
    if (excluded.delete(name)) {
      text += `[+]${name} excluded: ok\n`;
      continue;
    }
    const failure = await check();
    if (failure === undefined) {
      text += `[+]${name} ok\n`;
      continue;
    }
    failed = true;
    failing.push(name);
    text += `[-]${name} failed: reason withheld\n`;
  }
  if (excluded.size > 0) {
    const names = [...excluded].map((name) => JSON.stringify(name)).join(', ');
    text += `warn: some health checks cannot be excluded: no matches for ${names}\n`;
  }
  if (failed) return rawText(`${text}${kind} check failed\n`, 500);
  if (context.query.get('verbose') === undefined) return health('ok');
  return health(`${text}${kind} check passed\n`);
}

function health(text: string): RawResult {
  return { ...rawText(text), headers: { 'X-Content-Type-Options': 'nosniff' } };
}
