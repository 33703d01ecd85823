/**
 * The Service `default/kubernetes` with its Endpoints and EndpointSlice: how pods find the API servers. Servers that share
 * a store each keep a lease on their address there, and every one of them writes the addresses that are alive
 * (k8s.io/kubernetes/pkg/controlplane/{controller/kubernetesservice,reconcilers}).
 */
import { corev1, discoveryv1, type Draft } from '@k8ts/api';
import { isNotFound, jsonEqual } from '@k8ts/apimachinery';
import { errorMessage, every } from '@k8ts/base';
import { keyFromText, LeaseNotFoundError, prefixEnd, textFromKey, type Store } from '@k8ts/store';
import type { RegistryAccess } from '../registry/special-subresources.ts';
import type { PostStartContext, PostStartHook } from './contract.ts';
import { createMissing } from './system-objects.ts';

export interface KubernetesServiceOptions {
  readonly store: Store;
  /** Cluster IP of the Service: the first address of the service range. */
  readonly serviceIp: string;
  /** Where pods reach this server; not a loopback address. Absent: nowhere, the Service has no endpoints. */
  readonly advertiseAddress?: string | undefined;
  /** Default: the TLS port, once it is open. */
  readonly advertisePort?: number;
}

const NAMESPACE = 'default';
const NAME = 'kubernetes';
const SERVICE_PORT = 443;
const LEASE_PREFIX = '/registry/masterleases/';
/** Seconds after which a server that no longer renews its lease is forgotten. */
const LEASE_TTL = 15;
const RENEW_PERIOD = 10_000;

export function kubernetesServiceHook(options: KubernetesServiceOptions): PostStartHook {
  return {
    name: 'bootstrap-controller',
    async run(context) {
      await createService(context.registry, options);
      const { advertisePort, advertiseAddress, store } = options;
      if (advertiseAddress === undefined) return;
      if (advertisePort !== undefined) await announce(store, advertiseAddress, advertisePort, context);
      else
        context.background(
          context.listening.then((port) => announce(store, advertiseAddress, port, context)),
        );
    },
  };
}

async function createService(
  registry: RegistryAccess,
  { serviceIp, advertisePort = 6443 }: KubernetesServiceOptions,
): Promise<void> {
  const service = {
    metadata: {
      name: NAME,
      namespace: NAMESPACE,
      labels: { provider: 'kubernetes', component: 'apiserver' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: serviceIp,
      ipFamilyPolicy: 'SingleStack',
      sessionAffinity: 'None',
      ports: [{ name: 'https', protocol: 'TCP', port: SERVICE_PORT, targetPort: advertisePort }],
    },
  } as unknown as corev1.Service;
  await createMissing(registry, corev1.services, NAMESPACE, service);
}

async function announce(
  store: Store,
  advertiseAddress: string,
  port: number,
  context: PostStartContext,
): Promise<void> {
  if (store.exclusive) {
    await reconcile(context.registry, [advertiseAddress], port);
    return;
  }
  let lease = (await store.grantLease(LEASE_TTL)).id;
  const renew = async (): Promise<void> => {
    try {
      await store.keepLeaseAlive(lease);
    } catch (error) {
      if (!(error instanceof LeaseNotFoundError)) throw error;
      lease = (await store.grantLease(LEASE_TTL)).id;
    }
    await store.commit({
      conditions: [],
      operations: [
        {
          type: 'put',
          key: keyFromText(LEASE_PREFIX + advertiseAddress),
          value: Buffer.from('{}'),
          lease,
        },
      ],
    });
    await reconcile(context.registry, await aliveAddresses(store), port);
  };
  await renew();
  context.background(
    every(context.clock, RENEW_PERIOD, context.signal, async () => {
      try {
        await renew();
      } catch (error) {
        context.logger.warn('could not renew the lease on the advertised address', {
          error: errorMessage(error),
        });
      }
    }),
  );
}

async function aliveAddresses(store: Store): Promise<string[]> {
  const { items } = await store.range({
    start: LEASE_PREFIX,
    end: prefixEnd(LEASE_PREFIX),
    keysOnly: true,
  });
  return items.map(({ key }) => textFromKey(key).slice(LEASE_PREFIX.length));
}

async function reconcile(
  registry: RegistryAccess,
  addresses: readonly string[],
  port: number,
): Promise<void> {
  const sorted = [...addresses].sort();
  await put(
    registry,
    corev1.endpoints,
    {
      metadata: {
        name: NAME,
        namespace: NAMESPACE,
        labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
      },
      subsets: [
        {
          addresses: sorted.map((ip) => ({ ip })),
          ports: [{ name: 'https', port, protocol: 'TCP' }],
        },
      ],
    },
    'subsets',
  );
  await put(
    registry,
    discoveryv1.endpointSlices,
    {
      metadata: {
        name: NAME,
        namespace: NAMESPACE,
        labels: { 'kubernetes.io/service-name': NAME },
      },
      addressType: (sorted[0] ?? '').includes(':') ? 'IPv6' : 'IPv4',
      endpoints: sorted.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
      ports: [{ name: 'https', port, protocol: 'TCP' }],
    },
    'endpoints',
    'ports',
  );
}

type Managed = corev1.Endpoints | discoveryv1.EndpointSlice;

/** Creates the object, or sets the named fields where they differ. */
async function put<T extends Managed>(
  registry: RegistryAccess,
  type: Parameters<typeof createMissing<T>>[1],
  object: T,
  ...fields: readonly (keyof T)[]
): Promise<void> {
  await createMissing(registry, type, NAMESPACE, object);
  try {
    await registry.update(type, NAMESPACE, NAME, (draft, old) => {
      for (const field of fields) {
        if (jsonEqual(old[field], object[field])) continue;
        (draft as T)[field] = structuredClone(object[field]);
      }
      (draft as unknown as Draft<Managed>).metadata.labels = {
        ...old.metadata.labels,
        ...object.metadata.labels,
      };
    });
  } catch (error) {
    if (!isNotFound(error)) throw error; // somebody deleted it just now; the next round makes it again
  }
}
