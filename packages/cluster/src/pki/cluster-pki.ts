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
  /** Signs service account tokens. PEM. */
  readonly serviceAccountKey: { readonly privateKey: string; readonly publicKey: string };
}

export interface ClusterPkiOptions {
  /** Where the files are kept; absent: nowhere, for clusters that live in memory. */
  readonly directory?: string;
  /** Names and addresses of the API server. */
  readonly hosts: readonly string[];
  /** Names and addresses of the kubelets here. */
  readonly nodeHosts: readonly string[];
  readonly clock: Clock;
}

/** Renewed at the first start within so many milliseconds of the end. */
const RENEW_BEFORE = 60 * 24 * 60 * 60 * 1000;

/** Reads what is there, and issues what is missing, about to expire, or lacks a host. */
export async function ensureClusterPki(options: ClusterPkiOptions): Promise<ClusterPki> {
  const { directory, clock } = options;
  if (directory !== undefined) await mkdir(directory, { recursive: true, mode: 0o700 });
  const files = directory === undefined ? undefined : directory;

  const authority =
    (await readKeyPair(files, 'ca')) ??
    (await writeKeyPair(files, 'ca', await createAuthority('kubernetes', clock)));

  const issue = async (name: string, request: CertificateRequest): Promise<KeyPair> => {
    const present = await readKeyPair(files, name);
    if (present !== undefined && isUsable(present, authority, request.hosts ?? [], clock)) return present;
    return writeKeyPair(files, name, await issueCertificate(authority, request, clock));
  };

  const [apiserver, kubeletClient, admin, kubeletServer] = await Promise.all([
    issue('apiserver', { commonName: 'kube-apiserver', usages: ['server'], hosts: options.hosts }),
    issue('apiserver-kubelet-client', {
      commonName: 'kube-apiserver-kubelet-client',
      usages: ['client'],
    }),
    issue('admin', { commonName: 'kubernetes-admin', organizations: ['system:masters'], usages: ['client'] }),
    issue('kubelet', { commonName: 'kubelet', usages: ['server'], hosts: options.nodeHosts }),
  ]);
  return {
    authority,
    apiserver,
    kubeletClient,
    admin,
    kubeletServer,
    serviceAccountKey: await ensureServiceAccountKey(files),
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

async function ensureServiceAccountKey(
  directory: string | undefined,
): Promise<{ privateKey: string; publicKey: string }> {
  const path = directory === undefined ? undefined : join(directory, 'sa.key');
  let privateKey = await readText(path);
  if (privateKey === undefined) {
    privateKey = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey;
    if (path !== undefined) await writeText(path, privateKey, 0o600);
  }
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string;
  return { privateKey, publicKey };
}

async function readKeyPair(directory: string | undefined, name: string): Promise<KeyPair | undefined> {
  if (directory === undefined) return undefined;
  const certificate = await readText(join(directory, `${name}.crt`));
  const key = await readText(join(directory, `${name}.key`));
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

async function writeKeyPair(directory: string | undefined, name: string, pair: KeyPair): Promise<KeyPair> {
  if (directory !== undefined) {
    await writeText(join(directory, `${name}.key`), pair.key, 0o600);
    await writeText(join(directory, `${name}.crt`), pair.certificate, 0o644);
  }
  return pair;
}

async function readText(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
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
