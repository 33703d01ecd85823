/**
 * The ConfigMap `kube-system/extension-apiserver-authentication`: what extension API servers must know to accept this
 * server's front proxy and the cluster's client certificates
 * (k8s.io/kubernetes/pkg/controlplane/controller/clusterauthenticationtrust). API servers that share a store each add what
 * they know; nothing that is still valid is taken away.
 */
import { corev1 } from '@k8ts/api';
import { isNotFound, StatusError } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { createClient, createInformerFactory, createWorkQueue } from '@k8ts/client';
import { certificatesOf } from '../authentication/certificate-chain.ts';
import type { RequestHeaderOptions } from '../authentication/plugins/request-header.ts';
import type { RegistryAccess } from '../registry/special-subresources.ts';
import type { PostStartContext, PostStartHook } from './contract.ts';
import { createMissing } from './system-objects.ts';

const NAMESPACE = 'kube-system';
const NAME = 'extension-apiserver-authentication';
/** Clocks differ: a certificate is dropped so many milliseconds after its end. */
const EXPIRY_SLACK = 5 * 60 * 1000;

export interface ClusterAuthentication {
  /** PEM. */
  readonly clientCa?: string | undefined;
  readonly requestHeader?: RequestHeaderOptions | undefined;
}

type Data = Readonly<Record<string, string>>;

export function clusterAuthenticationTrustHook(required: ClusterAuthentication): PostStartHook {
  return {
    name: 'start-cluster-authentication-info-controller',
    async run(context) {
      await reconcile(context, required);
      context.background(follow(context, required));
    },
  };
}

/** Writes it anew whenever somebody has changed or deleted it. Ends when the signal aborts. */
async function follow(context: PostStartContext, required: ClusterAuthentication): Promise<void> {
  const { transport, clock, random, logger, signal } = context;
  const queue = createWorkQueue({ clock });
  await using informers = createInformerFactory({ client: createClient(transport), clock, random, logger });
  const enqueue = (): void => queue.add(NAME);
  informers
    .of(corev1.configMaps, { namespace: NAMESPACE, fieldSelector: `metadata.name=${NAME}` })
    .addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
  signal.addEventListener('abort', () => queue.shutDown(), { once: true });
  if (signal.aborted) return;
  informers.start();
  for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
    try {
      await reconcile(context, required);
      queue.forget(key);
    } catch (error) {
      logger.warn(`could not write ${NAMESPACE}/${NAME}`, { error: errorMessage(error) });
      queue.addRateLimited(key);
    }
    queue.done(key);
  }
}

async function reconcile(
  { registry, clock }: Pick<PostStartContext, 'registry' | 'clock'>,
  required: ClusterAuthentication,
): Promise<void> {
  const merged = (data: Data | undefined): Data => authenticationData(data ?? {}, required, clock.now());
  const current = await registry.find(corev1.configMaps, NAMESPACE, NAME);
  if (current === undefined) {
    const metadata = { name: NAME, namespace: NAMESPACE };
    await createMissing(registry, corev1.configMaps, NAMESPACE, { metadata, data: merged({}) });
    return;
  }
  if (equal(current.data ?? {}, merged(current.data))) return;
  try {
    await registry.update(corev1.configMaps, NAMESPACE, NAME, (draft, old) => {
      draft.data = { ...merged(old.data) };
    });
  } catch (error) {
    if (isNotFound(error)) return; // deleted just now: the event makes it again
    if (isTooLarge(error)) await remove(registry);
    throw error;
  }
}

/** What others have put in has made it too large: all start anew. */
async function remove(registry: RegistryAccess): Promise<void> {
  await registry.delete(corev1.configMaps, NAMESPACE, NAME, {}).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

function isTooLarge(error: unknown): boolean {
  if (!(error instanceof StatusError)) return false;
  return error.code === 413 || (error.code === 422 && error.message.includes('Too long'));
}

/** The ConfigMap's data with what this server requires. Throws when a list in it is none: upstream too leaves it then. */
export function authenticationData(existing: Data, required: ClusterAuthentication, now: number): Data {
  const data: Record<string, string> = {};
  const clientCa = combinedCertificates(existing['client-ca-file'], required.clientCa, now);
  if (clientCa !== '') data['client-ca-file'] = clientCa;
  const { requestHeader } = required;
  const requestCa = combinedCertificates(
    existing['requestheader-client-ca-file'],
    requestHeader?.clientCa,
    now,
  );
  const list = (key: string, own: readonly string[] | undefined): string =>
    JSON.stringify([...new Set([...listOf(existing[key]), ...(own ?? [])])]);
  const lists = {
    'requestheader-username-headers': list('requestheader-username-headers', requestHeader?.usernameHeaders),
    'requestheader-uid-headers': list('requestheader-uid-headers', requestHeader?.uidHeaders),
    'requestheader-group-headers': list('requestheader-group-headers', requestHeader?.groupHeaders),
    'requestheader-extra-headers-prefix': list(
      'requestheader-extra-headers-prefix',
      requestHeader?.extraHeaderPrefixes,
    ),
    'requestheader-allowed-names': list('requestheader-allowed-names', requestHeader?.allowedNames),
  };
  if (requestCa === '') return data;
  return { ...data, ...lists, 'requestheader-client-ca-file': requestCa };
}

function listOf(text = ''): readonly string[] {
  if (text === '') return [];
  const list: unknown = JSON.parse(text);
  if (Array.isArray(list) && list.every((each) => typeof each === 'string')) return list;
  throw new TypeError(`${NAMESPACE}/${NAME}: ${JSON.stringify(text.slice(0, 100))} is not a list of strings`);
}

/** Each certificate once, without those that have expired. */
function combinedCertificates(existing = '', own = '', now: number): string {
  const all = [...certificatesOf(existing), ...certificatesOf(own)];
  const valid = all.filter(({ validTo }) => Date.parse(validTo) > now - EXPIRY_SLACK);
  return [...new Set(valid.map(String))].map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`)).join('');
}

function equal(a: Data, b: Data): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
