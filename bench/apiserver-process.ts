/**
 * A server for apiserver.bench.ts: the kube-apiserver composition over the store that the first argument names (memory or
 * lmdb, in the directory of the second). Says `listening PORT` when it is ready; ends on SIGTERM.
 */
import { createKubeApiServer, parseTokenFile, staticTokenAuthenticator } from '@k8ts/apiserver';
import { createMetrics, realClock, silentLogger } from '@k8ts/base';
import { createMemoryStore, openLmdbStore } from '@k8ts/store';
import { createEphemeralPki } from '../packages/cluster/src/pki/cluster-pki.ts';

const [kind = 'memory', directory = ''] = process.argv.slice(2);
const pki = await createEphemeralPki(realClock, ['127.0.0.1']);
if (pki.served === undefined) throw new Error('no certificate for the server');
const store =
  kind === 'lmdb'
    ? await openLmdbStore({ directory, clock: realClock })
    : createMemoryStore({ clock: realClock, logger: silentLogger });
const server = await createKubeApiServer({
  store,
  clock: realClock,
  logger: silentLogger,
  metrics: createMetrics(),
  issuer: 'https://kubernetes.default.svc.cluster.local',
  serviceAccountKeys: {
    privateKey: pki.serviceAccountKey.privateKey,
    publicKeys: [pki.serviceAccountKey.publicKey],
  },
  tokens: [staticTokenAuthenticator(parseTokenFile('bench,bench,1,"system:masters"'))],
  controllers: [],
  host: '127.0.0.1',
  port: 0,
  tls: {
    cert: pki.served.apiserver.certificate,
    key: pki.served.apiserver.key,
    clientCa: pki.authority.certificate,
  },
});
await server.listen();
await server.ready;
console.log(`listening ${server.address?.port}`);
process.once('SIGTERM', () => {
  void server[Symbol.asyncDispose]()
    .then(() => store[Symbol.asyncDispose]())
    .then(() => process.exit(0));
});
