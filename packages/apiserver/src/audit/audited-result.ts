/** What is answered, as the audit wants it: JSON of what the client is shown, whichever form it is sent in. */
import type { Status } from '@k8ts/apimachinery';
import { encodeObject, encodeRecord, encodeWholeList, type Output } from '../output/output.ts';
import { negotiate, type OutputFormat } from '../output/media-types.ts';
import { isCustom, type ServedResource } from '../registry/served-resource.ts';
import type { RequestAudit } from '../request/request-audit.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';

const PLAIN: OutputFormat = { serializer: 'json', transform: 'none', metaVersion: 'v1', pretty: false };

/** Throws for what the client wants and cannot have. */
export function auditResult(
  audit: RequestAudit,
  output: Output,
  context: RequestContext,
  result: Result,
): void | Promise<void> {
  const isWanted = audit.wants('RequestResponse');
  switch (result.kind) {
    case 'record': {
      if (!isWanted) return;
      const format = shownFormat(context, result.served);
      return audit.responseObject(() => text(encodeRecord(output, context, format, result)));
    }
    case 'object': {
      const format = shownFormat(context, result.served);
      return audit.responseObject(
        () => text(encodeObject(output, context, format, result)),
        statusIn(result.object),
      );
    }
    case 'list': {
      if (!isWanted) return;
      const encoded = encodeWholeList(output, context, shownFormat(context, result.served), result);
      return encoded.then(
        (body) => audit.responseObject(() => text(body)),
        (error: unknown) =>
          audit.responseObject(() => {
            throw error;
          }),
      );
    }
    case 'raw': {
      // Discovery documents are objects; the version and the list of paths are not.
      const { value } = result;
      if (isWanted && typeof (value as { kind?: unknown } | null | undefined)?.kind === 'string')
        audit.responseObject(() => JSON.stringify(value));
      return;
    }
    case 'watch':
    case 'upgrade':
      return;
  }
}

/** In the process objects are handed over as they are. */
function shownFormat(context: RequestContext, served: ServedResource | undefined): OutputFormat {
  if (context.init.body.kind === 'value') return PLAIN;
  const format = negotiate(context, { isCustom: served !== undefined && isCustom(served) });
  return { ...format, serializer: 'json', pretty: false };
}

function text(body: Buffer): string {
  return body.toString().trimEnd();
}

function statusIn(object: object): Status | undefined {
  const { kind, apiVersion } = object as Partial<Status>;
  return kind === 'Status' && apiVersion === 'v1' ? (object as Status) : undefined;
}
