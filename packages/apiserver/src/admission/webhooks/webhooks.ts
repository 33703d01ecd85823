/**
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook: what is about to happen is shown to programs elsewhere, which
 * may change it, warn, or refuse (k8s.io/apiserver/pkg/admission/plugin/webhook/{mutating,validating}).
 */
import { admissionregistrationv1, type Draft, type KubeObject, type ResourceType } from '@k8ts/api';
import {
  applyJsonPatch,
  badRequest,
  forbidden,
  goQuote,
  internalError,
  isJsonObject,
  StatusError,
  timeout,
  type JsonValue,
} from '@k8ts/apimachinery';
import { errorMessage, type Logger } from '@k8ts/base';
import type { ObjectReader } from '../../object-reader.ts';
import { prepareVersions, type AdmissionAttributes, type AdmissionPlugin } from '../contract.ts';
import { ReinvocationMemory } from '../reinvocation.ts';
import { replaceObject } from '../replace-object.ts';
import { denial, reviewAnswer, reviewRequest, type ReviewAnswer } from './admission-review.ts';
import { MatchConditions } from '../expressions/match-conditions.ts';
import { admissionValues, type Authorize } from '../expressions/request-values.ts';
import { wantedVersion, type Webhook } from './matching.ts';
import type { WebhookClient } from './webhook-client.ts';

const OPERATIONS = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] as const;
const GROUP = 'admissionregistration.k8s.io';
/** Nobody may be locked out of mending what locks them out. */
const EXEMPT: ReadonlySet<string> = new Set([
  'validatingwebhookconfigurations',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
]);
const DEFAULT_TIMEOUT_SECONDS = 10;

export interface WebhookServices {
  readonly objects: ObjectReader;
  readonly client: WebhookClient;
  readonly logger: Logger;
  readonly authorize: Authorize;
}

type Configuration<W extends Webhook> = KubeObject & { readonly webhooks?: readonly W[] };

interface Named<W extends Webhook> {
  /** Of the configuration and the place in it: webhooks of one name are told apart. */
  readonly id: string;
  readonly configuration: string;
  readonly webhook: W;
}

/** All webhooks, by the names of their configurations; made anew when one of these changes. */
function webhooksOf<W extends Webhook>(
  objects: ObjectReader,
  type: ResourceType<Configuration<W>>,
): () => readonly Named<W>[] {
  let version = -1;
  let known: readonly Named<W>[] = [];
  return () => {
    const current = objects.version(type);
    if (current === version) return known;
    version = current;
    known = [...objects.list(type)]
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .flatMap(({ metadata, webhooks = [] }) =>
        webhooks.map((webhook, at) => ({
          id: `${metadata.name}/${webhook.name}/${at}`,
          configuration: metadata.name,
          webhook,
        })),
      );
    return known;
  };
}

const handles = (resource: ResourceType<KubeObject>): boolean =>
  resource.group !== GROUP || !EXEMPT.has(resource.resource);

export function validatingWebhooks(services: WebhookServices): AdmissionPlugin {
  const webhooks = webhooksOf(
    services.objects,
    admissionregistrationv1.validatingWebhookConfigurations as unknown as ResourceType<
      Configuration<admissionregistrationv1.ValidatingWebhook>
    >,
  );
  return {
    name: 'ValidatingAdmissionWebhook',
    operations: OPERATIONS,
    handles,
    validate(attributes) {
      const all = webhooks();
      if (all.length === 0) return;
      const matching = all.flatMap(({ webhook }) => {
        const type = wantedVersion(webhook, attributes, services.objects);
        return type === undefined ? [] : [{ webhook, type }];
      });
      if (matching.length === 0) return;
      const ask = (): void | Promise<void> => {
        const wanted = matching.filter((each) => meetsConditions(services, each, attributes));
        return wanted.length === 0 ? undefined : validateAll(services, attributes, wanted);
      };
      const types = matching.map(({ type }) => type);
      const pending = prepareVersions(attributes, types);
      return pending === undefined ? ask() : pending.then(ask);
    },
  };
}

/** By webhook: configurations are immutable, so what is compiled stays good. */
const conditions = new WeakMap<Webhook, MatchConditions>();

/** Whether the webhook, seeing the object in the version that it wants, is to be asked. Throws a refusal. */
function meetsConditions(
  { authorize }: WebhookServices,
  { webhook, type }: Wanted<Webhook>,
  attributes: AdmissionAttributes,
): boolean {
  if ((webhook.matchConditions ?? []).length === 0) return true;
  let compiled = conditions.get(webhook);
  if (compiled === undefined) {
    compiled = new MatchConditions(webhook.matchConditions ?? []);
    conditions.set(webhook, compiled);
  }
  const outcome = compiled.evaluate(admissionValues(attributes, type, { authorize }));
  if (outcome.error === undefined) return outcome.matches;
  if (webhook.failurePolicy === 'Ignore') return false;
  throw forbidden(attributes.resource, attributes.name, outcome.error);
}

interface Wanted<W extends Webhook> {
  readonly webhook: W;
  readonly type: ResourceType<KubeObject>;
}

/** All at the same time; the first refusal in their order counts. */
async function validateAll(
  services: WebhookServices,
  attributes: AdmissionAttributes,
  wanted: readonly Wanted<Webhook>[],
): Promise<void> {
  const outcomes = await Promise.allSettled(
    wanted.map(async ({ webhook, type }, at) => {
      const failedOpen = `failed-open.validating.webhook.admission.k8s.io/round_0_index_${at}`;
      const answer = await ask(services, attributes, webhook, type, { mutating: false, failedOpen });
      if (answer !== undefined && !answer.allowed) throw denial(webhook.name, answer.status);
    }),
  );
  const refusal = outcomes.find((outcome) => outcome.status === 'rejected');
  if (refusal !== undefined) throw refusal.reason as Error;
}

export function mutatingWebhooks(services: WebhookServices): AdmissionPlugin {
  const webhooks = webhooksOf(
    services.objects,
    admissionregistrationv1.mutatingWebhookConfigurations as unknown as ResourceType<
      Configuration<admissionregistrationv1.MutatingWebhook>
    >,
  );
  return {
    name: 'MutatingAdmissionWebhook',
    operations: OPERATIONS,
    handles,
    admit(attributes) {
      const all = webhooks();
      return all.length === 0 ? undefined : mutateAll(services, attributes, all);
    },
  };
}

/** One after the other, each seeing what those before have made of the object. */
async function mutateAll(
  services: WebhookServices,
  attributes: AdmissionAttributes,
  all: readonly Named<admissionregistrationv1.MutatingWebhook>[],
): Promise<void> {
  const memory = new ReinvocationMemory(attributes, 'MutatingAdmissionWebhook');
  for (const [at, { id, webhook, configuration }] of all.entries()) {
    const type = wantedVersion(webhook, attributes, services.objects);
    if (type === undefined) continue;
    await prepareVersions(attributes, [type]);
    if (!meetsConditions(services, { webhook, type }, attributes) || !memory.wants(id)) continue;
    const place = `mutation.webhook.admission.k8s.io/round_${memory.isAgain ? 1 : 0}_index_${at}`;
    const named = { configuration, webhook: webhook.name };
    let changed = false;
    try {
      changed = await mutate(services, attributes, webhook, type, { place, ...named });
    } finally {
      attributes.annotate?.(place, JSON.stringify({ ...named, mutated: changed }));
    }
    memory.called(id, changed, webhook.reinvocationPolicy === 'IfNeeded');
  }
  memory.done();
}

/** Returns whether the object is another one afterwards. */
async function mutate(
  services: WebhookServices,
  attributes: AdmissionAttributes,
  webhook: Webhook,
  type: ResourceType<KubeObject>,
  { place, ...named }: MutationPlace,
): Promise<boolean> {
  const asked = { mutating: true, failedOpen: `failed-open.${place}` };
  const answer = await ask(services, attributes, webhook, type, asked);
  if (answer === undefined) return false;
  if (!answer.allowed) throw denial(webhook.name, answer.status);
  if (answer.patch === '') return false;
  const { object, versions } = attributes;
  const patch = decodedPatch(webhook, answer.patch);
  if (Array.isArray(patch) && patch.length === 0) return false;
  if (object === undefined)
    throw internalError(
      new Error(
        `admission webhook ${goQuote(webhook.name)} attempted to modify the object, which is not supported for this operation`,
      ),
    );
  const before = versions.show(object, type);
  let taken: Draft<KubeObject>;
  try {
    const patched = applyJsonPatch(before as unknown as JsonValue, patch);
    if (!isJsonObject(patched)) throw new Error('the patch does not leave an object');
    taken = await versions.take(patched, type);
  } catch (error) {
    throw internalError(error);
  }
  const changed = replaceObject(object, taken);
  attributes.annotate?.(
    place.replace('mutation.', 'patch.'),
    JSON.stringify({ ...named, patch, patchType: 'JSONPatch' }),
    'Request',
  );
  return changed;
}

/** Which of the mutating webhooks it is, for the audit. */
interface MutationPlace {
  /** `mutation.webhook.admission.k8s.io/round_0_index_2` */
  readonly place: string;
  readonly configuration: string;
  readonly webhook: string;
}

function decodedPatch(webhook: Webhook, base64: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64, 'base64').toString());
  } catch (error) {
    throw failedCall(webhook, `received undecodable patch in webhook response: ${errorMessage(error)}`);
  }
}

/** Undefined when the webhook could not be asked, and that does not matter. */
async function ask(
  { client, logger }: WebhookServices,
  attributes: AdmissionAttributes,
  webhook: Webhook,
  type: ResourceType<KubeObject>,
  /** `failedOpen`: the annotation that says that it could not be asked. */
  { mutating, failedOpen }: { readonly mutating: boolean; readonly failedOpen: string },
): Promise<ReviewAnswer | undefined> {
  const { sideEffects, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS } = webhook;
  if (attributes.dryRun && sideEffects !== 'None' && sideEffects !== 'NoneOnDryRun')
    throw badRequest(`admission webhook ${goQuote(webhook.name)} does not support dry run`);
  const { object, oldObject, versions } = attributes;
  const signal = attributes.signal?.();
  try {
    const shown = {
      object: object === undefined ? undefined : versions.show(object, type),
      oldObject: oldObject === undefined ? undefined : versions.show(oldObject, type),
    };
    const request = reviewRequest(attributes, type, shown, webhook.admissionReviewVersions);
    const answered = await client
      .call({
        clientConfig: webhook.clientConfig,
        body: request.body,
        timeout: timeoutSeconds * 1_000,
        signal,
      })
      .catch((error: unknown) => {
        throw new Error(`failed to call webhook: ${errorMessage(error)}`);
      });
    const answer = validAnswer(() => reviewAnswer(request, mutating, answered));
    for (const [key, value] of answer.auditAnnotations)
      attributes.annotate?.(`${webhook.name}/${key}`, value);
    for (const warning of answer.warnings) attributes.warn(warning);
    return answer;
  } catch (error) {
    if (error instanceof StatusError) throw error;
    if (webhook.failurePolicy !== 'Ignore') throw failedCall(webhook, errorMessage(error));
    logger.warn('Failed calling webhook, failing open', {
      webhook: webhook.name,
      error: errorMessage(error),
    });
    if (signal?.aborted === true) throw timeout('request did not complete within requested timeout');
    attributes.annotate?.(failedOpen, webhook.name);
    return undefined;
  }
}

function validAnswer(read: () => ReviewAnswer): ReviewAnswer {
  try {
    return read();
  } catch (error) {
    throw new Error(`received invalid webhook response: ${errorMessage(error)}`);
  }
}

function failedCall({ name }: Webhook, message: string): StatusError {
  return internalError(new Error(`failed calling webhook ${goQuote(name)}: ${message}`));
}
