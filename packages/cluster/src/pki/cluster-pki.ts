import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@k8ts/base';
import { createAuthority, issueCertificate } from './certificate-authority.ts';
import type { CertificateRequest, KeyPair } from './certificate-authority.ts';

/** The keys and certificates of a cluster; kubeadm's names and subjects. */
export interface ClusterPki {
  readonly authority: KeyPair;
  readonly apiserver: KeyPair;
  /** With this the API server shows itself to kubelets. */
  readonly kubeletClient: KeyPair;
  readonly admin: KeyPair;
  /** Serving certificate of the kubelets that run here. */
  readonly kubeletServer: KeyPair;
  /** Who is signed by it may say for whom it asks; nobody else is. */
  readonly frontProxyAuthority: KeyPair;
  /** With this the API server shows itself to extension API servers. */
  readonly frontProxyClient: KeyPair;
  /** Signs service account tokens. PEM. */
  readonly serviceAccountKey: { readonly privateKey: string; readonly publicKey: string };
}

export interface ClusterPkiOptions {
  /** Where the files are kept. */
  readonly directory: string;
  /** Names and addresses of the API server. */
  readonly hosts: readonly string[];
  /** Names and addresses of the kubelets here. */
  readonly nodeHosts: readonly string[];
  readonly clock: Clock;
}

/** What a cluster in memory needs; its certificates only where it is served. */
export interface EphemeralPki extends Pick<
  ClusterPki,
  'authority' | 'serviceAccountKey' | 'frontProxyAuthority' | 'frontProxyClient'
> {
  readonly served: Pick<ClusterPki, 'apiserver' | 'admin'> | undefined;
}

const ADMIN: CertificateRequest = {
  commonName: 'kubernetes-admin',
  organizations: ['system:masters'],
  usages: ['client'],
};

const FRONT_PROXY_CLIENT: CertificateRequest = { commonName: 'front-proxy-client', usages: ['client'] };

/** Keys and certificates that are kept nowhere. `hosts` of the API server; absent: it is not served. */
export async function createEphemeralPki(clock: Clock, hosts?: readonly string[]): Promise<EphemeralPki> {
  const [authority, frontProxyAuthority] = await Promise.all([
    createAuthority('kubernetes', clock),
    createAuthority('front-proxy-ca', clock),
  ]);
  const frontProxyClient = await issueCertificate(frontProxyAuthority, FRONT_PROXY_CLIENT, clock);
  const common = {
    authority,
    frontProxyAuthority,
    frontProxyClient,
    serviceAccountKey: createServiceAccountKey(),
  };
  if (hosts === undefined) return { ...common, served: undefined };
  const [apiserver, admin] = await Promise.all([
    issueCertificate(authority, { commonName: 'kube-apiserver', usages: ['server'], hosts }, clock),
    issueCertificate(authority, ADMIN, clock),
  ]);
  return { ...common, served: { apiserver, admin } };
}

/** Renewed at the first start within so many milliseconds of the end. */
const RENEW_BEFORE = 60 * 24 * 60 * 60 * 1000;

/** Reads what is there, and issues what is missing, about to expire, or lacks a host. */
export async function ensureClusterPki(options: ClusterPkiOptions): Promise<ClusterPki> {
  const { directory, clock } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });

  const ensureAuthority = async (name: string, commonName: string): Promise<KeyPair> =>
    (await readKeyPair(directory, name)) ??
    (await writeKeyPair(directory, name, await createAuthority(commonName, clock)));
  const [authority, frontProxyAuthority] = await Promise.all([
    ensureAuthority('ca', 'kubernetes'),
    ensureAuthority('front-proxy-ca', 'front-proxy-ca'),
  ]);

  const issue = async (
    name: string,
    request: CertificateRequest,
    by: KeyPair = authority,
  ): Promise<KeyPair> => {
    const present = await readKeyPair(directory, name);
    if (present !== undefined && isUsable(present, by, request.hosts ?? [], clock)) return present;
    return writeKeyPair(directory, name, await issueCertificate(by, request, clock));
  };

  const [apiserver, kubeletClient, admin, kubeletServer, frontProxyClient] = await Promise.all([
    issue('apiserver', { commonName: 'kube-apiserver', usages: ['server'], hosts: options.hosts }),
    issue('apiserver-kubelet-client', {
      commonName: 'kube-apiserver-kubelet-client',
      usages: ['client'],
    }),
    issue('admin', ADMIN),
    issue('kubelet', { commonName: 'kubelet', usages: ['server'], hosts: options.nodeHosts }),
    issue('front-proxy-client', FRONT_PROXY_CLIENT, frontProxyAuthority),
  ]);
  return {
    authority,
    apiserver,
    kubeletClient,
    admin,
    kubeletServer,
    frontProxyAuthority,
    frontProxyClient,
    serviceAccountKey: await ensureServiceAccountKey(directory),
  };
}

function isUsable(pair: KeyPair, authority: KeyPair, hosts: readonly string[], clock: Clock): boolean {
  try {
    const certificate = new X509Certificate(pair.certificate);
    const issuer = new X509Certificate(authority.certificate);
    const covers = (host: string): boolean =>
      certificate.checkHost(host) !== undefined || certificate.checkIP(host) !== undefined;
    return (
      certificate.verify(issuer.publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
      Date.parse(certificate.validTo) - clock.now() > RENEW_BEFORE &&
      hosts.every(covers)
    );
  } catch {
    return false; // not a certificate, or not its key: issued anew
  }
}

async function ensureServiceAccountKey(directory: string): Promise<ClusterPki['serviceAccountKey']> {
  const path = join(directory, 'sa.key');
  const present = await readText(path);
  if (present !== undefined) {
    const publicKey = createPublicKey(present).export({ type: 'spki', format: 'pem' }) as string;
    return { privateKey: present, publicKey };
  }
  const fresh = createServiceAccountKey();
  await writeText(path, fresh.privateKey, 0o600);
  return fresh;
}

function createServiceAccountKey(): ClusterPki['serviceAccountKey'] {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
}

async function readKeyPair(directory: string, name: string): Promise<KeyPair | undefined> {
  const certificate = await readText(join(directory, `${name}.crt`));
  const key = await readText(join(directory, `${name}.key`));
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

async function writeKeyPair(directory: string, name: string, pair: KeyPair): Promise<KeyPair> {
  await writeText(join(directory, `${name}.key`), pair.key, 0o600);
  await writeText(join(directory, `${name}.crt`), pair.certificate, 0o644);
  return pair;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all: a start that is killed half-way must not leave half a key. */
async function writeText(path: string, text: string, mode: number): Promise<void> {
  await writeFile(`${path}.new`, text, { mode });
  await rename(`${path}.new`, path);
}
