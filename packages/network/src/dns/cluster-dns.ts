import { Scope } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { InformerFactory } from '@k8ts/client';

import { canonicalAddress, familyOf } from '../address.ts';
import { listenDns } from './dns-listener.ts';
import type { DnsAddress } from './dns-listener.ts';
import { createDnsMetrics } from './dns-metrics.ts';
import { Forwarder } from './forwarder.ts';
import { IndexFeeder } from './index-feeder.ts';
import { LoopCheck } from './loop-check.ts';
import { RecordIndex } from './record-index.ts';
import { resolvConfUpstreams } from './resolv-conf.ts';
import type { Upstream } from './resolv-conf.ts';
import { Resolver } from './resolver.ts';
import { ResponseCache } from './response-cache.ts';

export interface ClusterDnsOptions {
  /** Services, EndpointSlices and Namespaces are read from here; started if they are not yet. */
  readonly informers: InformerFactory;
  /** Default `cluster.local`. */
  readonly clusterDomain?: string;
  /** UDP and TCP; port 0 takes a free one. */
  readonly listen: readonly DnsAddress[];
  /** Addresses by which clients know this service (10.96.0.10): the zone's name server, and never asked itself. */
  readonly serviceIps?: readonly string[];
  /** Servers for all other names: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:5353`. Default: those of `resolvConf`. */
  readonly upstreams?: readonly string[];
  /** Default `/etc/resolv.conf`. */
  readonly resolvConf?: string;
  /** Seconds, of the cluster's records. Default 5, as CoreDNS. */
  readonly ttl?: number;
  /** Seconds for which others' answers are kept at most. Default 30. */
  readonly cacheTtl?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface ClusterDns extends AsyncDisposable {
  /** Where it listens, ports filled in. */
  readonly addresses: readonly DnsAddress[];
  /** Resolves when the cluster's names are known; before, questions for them fail and are asked again. */
  readonly ready: Promise<void>;
}

/** Serves the cluster's names, and others' by asking around. Throws when an address cannot be listened on. */
export async function startClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  const { clock, random, informers, clusterDomain = 'cluster.local', serviceIps = [] } = options;
  const logger = options.logger.child({ component: 'cluster-dns' });
  const scope = new Scope();
  try {
    const index = new RecordIndex(clusterDomain, serviceIps);
    const feeder = scope.use(new IndexFeeder(index, informers, clock, logger));
    const loopCheck = new LoopCheck(logger);
    const own: DnsAddress[] = serviceIps.map((address) => ({ address, port: 53 }));
    const configured = options.upstreams?.map(parseUpstream);
    const fromFile = resolvConfUpstreams(options.resolvConf ?? '/etc/resolv.conf', clock);
    const forwarder: Forwarder = new Forwarder({
      clock,
      upstreams: async () => {
        const all = configured ?? (await fromFile());
        const others = all.filter((upstream) => !own.some((address) => sameAddress(address, upstream)));
        scope.run(loopCheck.check(others, forwarder, scope.signal));
        return others;
      },
    });
    let synced = false;
    const resolver = new Resolver({
      index,
      forwarder,
      cache: new ResponseCache(clock, options.cacheTtl ?? 30),
      loopCheck,
      ttl: options.ttl ?? 5,
      ready: () => synced,
      clock,
      random,
      logger,
      metrics: createDnsMetrics(options.metrics, `dns://${clusterDomain}`),
      signal: scope.signal,
    });
    const addresses: DnsAddress[] = [];
    for (const listen of options.listen) {
      const listener = scope.use(
        await listenDns(listen, (message, transport) => resolver.handle(message, transport), clock, logger),
      );
      addresses.push({ address: listener.address, port: listener.port });
    }
    own.push(...addresses);
    informers.start();
    const ready = feeder.waitForSync(scope.signal).then(() => {
      synced = true;
    });
    scope.run(ready);
    return { addresses, ready, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

/** Throws for what is no address. */
export function parseUpstream(text: string): Upstream {
  const match = /^(?:\[(?<bracketed>[^\]]+)\]|(?<plain>[^[\]]+?))(?::(?<port>\d{1,5}))?$/.exec(text);
  const whole = canonicalAddress(text);
  if (whole !== undefined) return { address: whole, port: 53 };
  const address = canonicalAddress(match?.groups?.['bracketed'] ?? match?.groups?.['plain'] ?? '');
  const port = Number(match?.groups?.['port'] ?? 53);
  if (address === undefined || port < 1 || port > 65_535) {
    throw new Error(`invalid name server ${JSON.stringify(text)}: an address is needed, or address:port`);
  }
  return { address, port };
}

/** Who listens on all addresses of a family is asked by any of them that is this machine's; loopback at least is known. */
function sameAddress(own: DnsAddress, other: Upstream): boolean {
  if (own.port !== other.port) return false;
  const everywhere = own.address === '0.0.0.0' || own.address === '::';
  if (everywhere) return familyOf(other.address) === familyOf(own.address) && isLoopback(other.address);
  return canonicalAddress(own.address) === other.address;
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
