import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { corev1 } from '@k8ts/api';
import { errorMessage } from '@k8ts/base';
import { connectionError } from './connection-error.ts';

/**
 * How a backend is reached: `open` makes a new connection that speaks HTTP/1.1 (inside TLS, if there is any). Inside one
 * process it may be half of a stream pair whose other half was given to the backend's server.
 */
export interface Backend {
  readonly scheme: 'http' | 'https';
  /** `host` or `host:port`, for the Host header and for rewriting redirects. */
  readonly authority: string;
  open(): Promise<Duplex>;
}

/** Where the kubelet of a node serves its API. The consumer's port: a cluster in one process gives its own. */
export interface KubeletConnection {
  /** Throws a `StatusError` or an Error when the node cannot be reached by any address. */
  forNode(node: corev1.Node): Backend;
}

const KUBELET_PORT = 10250;
const DIAL_TIMEOUT = 30_000;
/** In this order (upstream's flag is --kubelet-preferred-address-types). */
const ADDRESS_TYPES = ['InternalIP', 'ExternalIP', 'InternalDNS', 'ExternalDNS', 'Hostname'];

export interface KubeletTls {
  /** PEM of the authority that signs kubelets' serving certificates; absent: not checked. */
  readonly ca?: string;
  /** The API server's client certificate. PEM. */
  readonly cert: string;
  readonly key: string;
}

/** Kubelets over the network, by the addresses in their nodes' status. */
export function networkKubelets(tls: KubeletTls): KubeletConnection {
  return {
    forNode(node) {
      const addresses = node.status?.addresses ?? [];
      const address = ADDRESS_TYPES.map((wanted) => addresses.find(({ type }) => type === wanted)).find(
        (found) => found !== undefined,
      );
      if (address === undefined)
        throw new Error(
          `no preferred addresses found; known addresses: [${addresses.map(({ type }) => type).join(' ')}]`,
        );
      const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
      return tlsBackend(address.address, port === 0 ? KUBELET_PORT : port, {
        cert: tls.cert,
        key: tls.key,
        ...(tls.ca === undefined ? { rejectUnauthorized: false } : { ca: tls.ca }),
      });
    },
  };
}

export function tcpBackend(host: string, port: number): Backend {
  return {
    scheme: 'http',
    authority: authorityOf(host, port),
    open: () => opened(connectTcp({ host, port, timeout: DIAL_TIMEOUT }), 'connect', host, port),
  };
}

export function tlsBackend(host: string, port: number, options: ConnectionOptions): Backend {
  return {
    scheme: 'https',
    authority: authorityOf(host, port),
    open: () =>
      opened(
        connectTls({ ...options, host, port, timeout: DIAL_TIMEOUT, ALPNProtocols: ['http/1.1'] }),
        'secureConnect',
        host,
        port,
      ),
  };
}

/** IPv6 addresses stand in brackets. */
function authorityOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function opened(
  socket: ReturnType<typeof connectTcp>,
  event: 'connect' | 'secureConnect',
  host: string,
  port: number,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.destroy();
      const message = connectionError(error);
      const isPlain = message === errorMessage(error);
      reject(new Error(isPlain ? `dial tcp ${authorityOf(host, port)}: ${message}` : message));
    };
    socket.once(event, () => {
      socket.off('error', fail);
      socket.setTimeout(0);
      socket.setNoDelay(true);
      resolve(socket);
    });
    socket.once('error', fail);
    socket.once('timeout', () => fail(new Error('i/o timeout')));
  });
}
