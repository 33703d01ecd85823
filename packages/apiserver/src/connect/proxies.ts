/** pods/proxy, services/proxy and nodes/proxy: any HTTP request, passed on to the cluster's network. */
import { corev1, discoveryv1 } from '@k8ts/api';
import { badRequest, serviceUnavailable } from '@k8ts/apimachinery';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';
import type { SpecialHandler, SpecialRequest } from '../registry/special-subresources.ts';
import { tcpBackend, tlsBackend, type Backend, type KubeletConnection } from './dial.ts';
import { forward } from './forward.ts';

/** How the pod network is reached; default: directly. */
export interface PodNetwork {
  /** The backend at a pod's address. Certificates of pods are not checked, as upstream. */
  backend(scheme: 'http' | 'https', address: string, port: number): Backend;
}

export const directPodNetwork: PodNetwork = {
  backend: (scheme, address, port) =>
    scheme === 'https' ? tlsBackend(address, port, { rejectUnauthorized: false }) : tcpBackend(address, port),
};

export function proxyHandlers(
  kubelets: KubeletConnection,
  network: PodNetwork = directPodNetwork,
): readonly SpecialHandler[] {
  const handler = (
    resource: string,
    locate: (request: SpecialRequest, id: ProxyId) => Promise<Backend>,
  ): SpecialHandler => ({
    group: '',
    resource,
    subresource: 'proxy',
    connect: true,
    handle: async (request) => {
      const id = parseProxyId(request.name);
      if (id === undefined)
        throw badRequest(`invalid ${resource.slice(0, -1)} request ${JSON.stringify(request.name)}`);
      return proxy(request.context, await locate(request, id));
    },
  });
  return [
    handler('pods', async ({ registry, namespace }, id) => {
      const pod = await registry.get(corev1.pods, namespace, id.name);
      const address = pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '';
      const declared = pod.spec.containers.find(({ ports }) => (ports ?? []).length > 0)?.ports?.[0];
      const port = id.port === '' ? (declared?.containerPort ?? defaultPort(id)) : portNumber(id.port);
      return network.backend(id.scheme, allowed(address), port);
    }),
    handler('services', async (request, id) => {
      const { address, port } = await endpointOf(request, id);
      return network.backend(id.scheme, address, port);
    }),
    handler('nodes', async ({ registry }, id) => {
      const node = await registry.get(corev1.nodes, '', id.name);
      if (id.port === '') return kubelets.forNode(node);
      const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '';
      return network.backend(id.scheme, allowed(address), portNumber(id.port));
    }),
  ];
}

export interface ProxyId {
  readonly scheme: 'http' | 'https';
  readonly name: string;
  /** A number or a name; may be empty. */
  readonly port: string;
}

/** `name`, `name:port` or `scheme:name:port` (util/net: SplitSchemeNamePort). */
export function parseProxyId(id: string): ProxyId | undefined {
  const parts = id.split(':');
  if (parts.length > 3) return undefined;
  const [scheme, name = '', port = ''] = parts.length === 3 ? parts : ['', ...parts];
  if (name === '' || (scheme !== '' && scheme !== 'http' && scheme !== 'https')) return undefined;
  return { scheme: scheme === 'https' ? 'https' : 'http', name, port };
}

function defaultPort({ scheme }: ProxyId): number {
  return scheme === 'https' ? 443 : 80;
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw badRequest(`invalid port ${JSON.stringify(text)}`);
  return port;
}

/** The API server must not be made to call itself or its neighbours on the host (proxyutil.IsProxyableIP). */
function allowed(address: string): string {
  const isGlobal =
    address !== '' &&
    !/^(0\.|127\.|169\.254\.|2[2-5]\d\.|::1?$|::ffff:127\.|fe[89ab][0-9a-f]:|ff)/i.test(address);
  if (!isGlobal) throw badRequest('address not allowed');
  return address;
}

/** One ready endpoint of the service's port (registry/core/service: ResourceLocation). */
async function endpointOf(
  { registry, namespace, random }: SpecialRequest,
  id: ProxyId,
): Promise<{ readonly address: string; readonly port: number }> {
  const service = await registry.get(corev1.services, namespace, id.name);
  const ports = service.spec.ports ?? [];
  const wanted = ports.find(({ name = '', port }) =>
    id.port === '' ? ports.length === 1 || name === '' : name === id.port || String(port) === id.port,
  );
  if (wanted === undefined)
    throw serviceUnavailable(
      `no service port ${JSON.stringify(id.port)} found for service ${JSON.stringify(id.name)}`,
    );
  const slices = await registry.list(discoveryv1.endpointSlices, namespace);
  const candidates: { readonly address: string; readonly port: number }[] = [];
  for (const slice of slices) {
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== id.name) continue;
    const port = slice.ports?.find(({ name = '' }) => name === (wanted.name ?? ''))?.port;
    if (port === undefined) continue;
    for (const { addresses, conditions } of slice.endpoints ?? []) {
      const [address] = addresses;
      if (conditions?.ready !== false && address !== undefined) candidates.push({ address, port });
    }
  }
  const chosen = candidates[Math.floor(random() * candidates.length)];
  if (chosen === undefined)
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(id.name)}`);
  allowed(chosen.address);
  return chosen;
}

function proxy(context: RequestContext, backend: Backend): Result | Promise<Result> {
  const { prefix, rest } = splitAtProxy(context.path);
  const query = context.query.text === '' ? '' : `?${context.query.text}`;
  const isReading = context.method === 'GET' || context.method === 'HEAD';
  if (rest === '' && isReading && context.headers['upgrade'] === undefined)
    return {
      kind: 'raw',
      code: 301,
      contentType: '',
      body: '',
      headers: { Location: `${context.path}/${query}` },
    };
  return forward(context, { backend, path: `${rest === '' ? '/' : rest}${query}`, prefix });
}

/** `/api/v1/…/pods/web/proxy` and `/a/b`; nothing is decoded on the way. */
function splitAtProxy(path: string): { readonly prefix: string; readonly rest: string } {
  const parts = path.split('/');
  // '', api, v1, then namespaces and its name, then resource, name, proxy
  const length = parts[3] === 'namespaces' ? 8 : 6;
  const rest = parts.slice(length);
  return {
    prefix: parts.slice(0, length).join('/'),
    rest: rest.length === 0 ? '' : `/${rest.join('/')}`,
  };
}
