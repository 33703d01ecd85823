import { readFile } from 'node:fs/promises';
import type { Stage } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import {
  AdmissionPluginError,
  AuditOptionsError,
  ConfigurationError,
  createKubeApiServer,
  networkKubelets,
  parseTokenFile,
  staticTokenAuthenticator,
} from '@k8ts/apiserver';
import type { RequestHeaderOptions } from '@k8ts/apiserver';
import { createMetrics, Scope, untilAborted } from '@k8ts/base';
import { UserError } from '@k8ts/cli';
import type { ComponentCommand } from '@k8ts/cli';
import { controllerPermissions } from '@k8ts/controllers';
import { openEtcdStore, openLmdbStore } from '@k8ts/store';
import type { Store } from '@k8ts/store';
import { apiDocs } from '../../api-docs.ts';
import type { ActionContext } from '../actions.ts';
import { ACCESS_FLAGS, accessOptions } from './access-flags.ts';
import { AUDIT_FLAGS, auditOptions } from './audit-flags.ts';
import { boolean, flag, required } from './flags.ts';
import type { Flags } from './flags.ts';

export function kubeApiServer({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-apiserver',
    description: 'the API server alone',
    flags: [
      required('etcd-servers', 'URLs of etcd, separated by commas; or lmdb:DIRECTORY for the embedded store'),
      flag('etcd-cafile', 'authority of etcd’s certificates'),
      flag('etcd-certfile', 'client certificate for etcd'),
      flag('etcd-keyfile', 'its key'),
      flag('secure-port', 'port to serve HTTPS on', '6443'),
      flag('bind-address', 'address to serve on', '0.0.0.0'),
      flag('advertise-address', 'address by which pods reach this server'),
      required('tls-cert-file', 'serving certificate'),
      required('tls-private-key-file', 'its key'),
      flag('client-ca-file', 'authority of clients’ certificates'),
      flag('token-auth-file', 'static tokens'),
      flag(
        'service-account-issuer',
        'issuer of service account tokens',
        'https://kubernetes.default.svc.cluster.local',
      ),
      required('service-account-signing-key-file', 'key that signs service account tokens'),
      flag('service-account-key-file', 'key whose tokens are accepted besides'),
      flag('service-cluster-ip-range', 'cluster IPs of Services', '10.96.0.0/12'),
      flag('service-node-port-range', 'node ports of Services', '30000-32767'),
      flag('runtime-config', 'api/legacy=true serves the beta versions that older clients still ask for', ''),
      flag(
        'enable-admission-plugins',
        'admission plugins besides those that are on, separated by commas',
        '',
      ),
      flag('disable-admission-plugins', 'admission plugins that are not to be on', ''),
      flag('admission-control-config-file', 'configuration of single admission plugins'),
      flag('max-requests-inflight', 'reading requests at the same time', '4000'),
      flag('max-mutating-requests-inflight', 'writing requests at the same time', '4000'),
      flag('requestheader-client-ca-file', 'authority of proxies that may say in headers who asks'),
      flag('requestheader-allowed-names', 'common names of such proxies; empty: all', ''),
      flag('requestheader-username-headers', 'headers with the name of the user', ''),
      flag('requestheader-uid-headers', 'headers with the UID of the user', ''),
      flag('requestheader-group-headers', 'headers with groups of the user', ''),
      flag('requestheader-extra-headers-prefix', 'what headers with more about the user begin with', ''),
      flag('proxy-client-cert-file', 'client certificate for extension API servers'),
      flag('proxy-client-key-file', 'its key'),
      flag(
        'enable-aggregator-routing',
        'reach extension API servers by the endpoints of their Services: true or false',
        'false',
      ),
      flag(
        'aggregator-reject-forwarding-redirect',
        'keep extension API servers from sending clients elsewhere: true or false',
        'true',
      ),
      flag('kubelet-certificate-authority', 'authority of kubelets’ certificates'),
      flag('kubelet-client-certificate', 'client certificate for kubelets'),
      flag('kubelet-client-key', 'its key'),
      ...AUDIT_FLAGS,
      ...ACCESS_FLAGS,
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const text = (name: string): Promise<string> => readFile(flags[name] as string, 'utf8');
      const optional = async (name: string): Promise<string | undefined> =>
        flags[name] === undefined ? undefined : text(name);
      const privateKey = await text('service-account-signing-key-file');
      const furtherKey = await optional('service-account-key-file');
      const tokens = await optional('token-auth-file');
      const clientCa = await optional('client-ca-file');
      const kubeletCa = await optional('kubelet-certificate-authority');
      const kubeletCert = await optional('kubelet-client-certificate');
      const requestHeaderCa = await optional('requestheader-client-ca-file');
      const proxyCert = await optional('proxy-client-cert-file');
      const proxyKey = await optional('proxy-client-key-file');
      if ((proxyCert === undefined) !== (proxyKey === undefined))
        throw new UserError('--proxy-client-cert-file and --proxy-client-key-file go together');
      const advertiseAddress = flags['advertise-address'];
      const audit = auditOptions(flags, logger);
      const admissionConfigurationFile = flags['admission-control-config-file'];
      const server = scope.use(
        await createKubeApiServer({
          store: scope.use(await openStore(flags, { clock, random, logger })),
          clock,
          random,
          logger,
          metrics: createMetrics(),
          tls: {
            cert: await text('tls-cert-file'),
            key: await text('tls-private-key-file'),
            ...(clientCa === undefined ? {} : { clientCa }),
          },
          port: Number(flags['secure-port']),
          host: flags['bind-address'] as string,
          ...(advertiseAddress === undefined ? {} : { advertiseAddress }),
          stages: servedStages(flags['runtime-config'] as string),
          issuer: flags['service-account-issuer'] as string,
          serviceAccountKeys: {
            privateKey,
            publicKeys: furtherKey === undefined ? [privateKey] : [privateKey, furtherKey],
          },
          ...(requestHeaderCa === undefined
            ? {}
            : { requestHeader: requestHeaderOptions(requestHeaderCa, flags) }),
          aggregator: {
            ...(proxyCert === undefined || proxyKey === undefined
              ? {}
              : { proxyClient: { cert: proxyCert, key: proxyKey } }),
            endpointRouting: boolean(flags, 'enable-aggregator-routing'),
            rejectRedirects: boolean(flags, 'aggregator-reject-forwarding-redirect'),
          },
          ...(tokens === undefined ? {} : { tokens: [staticTokenAuthenticator(parseTokenFile(tokens))] }),
          serviceNetwork: {
            clusterIpRanges: (flags['service-cluster-ip-range'] as string).split(','),
            nodePorts: flags['service-node-port-range'] as string,
          },
          ...(kubeletCert === undefined
            ? {}
            : {
                kubelets: networkKubelets({
                  cert: kubeletCert,
                  key: await text('kubelet-client-key'),
                  ...(kubeletCa === undefined ? {} : { ca: kubeletCa }),
                }),
              }),
          controllers: controllerPermissions,
          admissionPlugins: {
            enable: names(flags['enable-admission-plugins']),
            disable: names(flags['disable-admission-plugins']),
          },
          ...(admissionConfigurationFile === undefined ? {} : { admissionConfigurationFile }),
          inFlight: {
            reading: count(flags, 'max-requests-inflight'),
            writing: count(flags, 'max-mutating-requests-inflight'),
          },
          docs: apiDocs,
          ...(audit === undefined ? {} : { audit }),
          ...(await accessOptions(flags)),
        }).catch((error: unknown) => {
          throw error instanceof AdmissionPluginError ||
            error instanceof AuditOptionsError ||
            error instanceof ConfigurationError
            ? new UserError(error.message)
            : error;
        }),
      );
      await server.listen();
      await server.ready;
      logger.info('serving', { address: server.address });
      await untilAborted(signal);
    },
  };
}

function requestHeaderOptions(clientCa: string, flags: Flags): RequestHeaderOptions {
  return {
    clientCa,
    allowedNames: names(flags['requestheader-allowed-names']),
    usernameHeaders: names(flags['requestheader-username-headers']),
    uidHeaders: names(flags['requestheader-uid-headers']),
    groupHeaders: names(flags['requestheader-group-headers']),
    extraHeaderPrefixes: names(flags['requestheader-extra-headers-prefix']),
  };
}

/** Requests; 0 leaves none for anybody but administrators. Throws `UserError`. */
function count(flags: Flags, name: string): number {
  const value = flags[name] as string;
  if (!/^\d+$/.test(value))
    throw new UserError(
      `invalid argument ${goQuote(value)} for "--${name}" flag: strconv.ParseInt: parsing ${goQuote(value)}: invalid syntax`,
    );
  return Number(value);
}

/** `A,B` */
function names(text = ''): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** `api/legacy`, `api/beta` and `api/alpha`, each `=true` or `=false`. Throws `UserError` for anything else. */
function servedStages(text: string): Stage[] {
  const stages: Stage[] = ['stable'];
  for (const word of text.split(',').filter((part) => part !== '')) {
    const match = /^api\/(legacy|beta|alpha)=(true|false)$/.exec(word);
    if (match === null)
      throw new UserError(
        `--runtime-config takes api/legacy, api/beta and api/alpha, each =true or =false; this is ${word}`,
      );
    if (match[2] === 'true') stages.push(match[1] as Stage);
  }
  return stages;
}

async function openStore(flags: Flags, { clock, logger }: ActionContext): Promise<Store> {
  const servers = flags['etcd-servers'] as string;
  if (servers.startsWith('lmdb:')) return openLmdbStore({ directory: servers.slice(5), clock, logger });
  const read = async (name: string): Promise<Buffer | undefined> =>
    flags[name] === undefined ? undefined : readFile(flags[name]);
  const [ca, cert, key] = [
    await read('etcd-cafile'),
    await read('etcd-certfile'),
    await read('etcd-keyfile'),
  ];
  if (ca === undefined) return openEtcdStore({ endpoints: servers, clock, logger });
  const client = cert === undefined || key === undefined ? {} : { cert, key };
  return openEtcdStore({ endpoints: servers, clock, logger, tls: { ca, ...client } });
}
