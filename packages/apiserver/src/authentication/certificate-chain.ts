import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** What a client has shown. */
export interface PeerChain {
  readonly certificate: X509Certificate;
  /** What came with it, and the authority where it is known. */
  readonly issuers: readonly X509Certificate[];
}

/** Says whether a certificate was issued under certain authorities. */
export type ChainCheck = (chain: PeerChain) => boolean;

const MAX_DEPTH = 10;
const MAX_KNOWN = 10_000;

/**
 * A TLS port that knows several authorities says that a chain is good, not which of them it leads to: here it is followed
 * once more. Dates of the leaf and its purpose are the TLS layer's and the caller's to check.
 */
export function chainCheck(authorities: string): ChainCheck {
  const roots = certificatesOf(authorities);
  // A connection that resumes another one's session no longer has its chain.
  const known = new Set<string>();
  return ({ certificate, issuers }) => {
    const { fingerprint256 } = certificate;
    if (known.has(fingerprint256)) return true;
    if (!leadsTo(roots, certificate, issuers, MAX_DEPTH)) return false;
    if (known.size >= MAX_KNOWN) known.clear();
    known.add(fingerprint256);
    return true;
  };
}

const chains = new WeakMap<TLSSocket, PeerChain>();

/** Undefined where the client has shown no certificate. A connection is asked once: node forgets the chain then. */
export function peerChain(socket: TLSSocket): PeerChain | undefined {
  const known = chains.get(socket);
  if (known !== undefined) return known;
  const peer = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | undefined;
  if (peer?.raw === undefined) return undefined;
  const issuers: X509Certificate[] = [];
  for (
    let current = peer.issuerCertificate, previous: unknown = peer;
    current?.raw !== undefined && current !== previous && issuers.length < MAX_DEPTH;
    previous = current, current = current.issuerCertificate
  )
    issuers.push(new X509Certificate(current.raw));
  const chain = { certificate: new X509Certificate(peer.raw), issuers };
  chains.set(socket, chain);
  return chain;
}

/** The certificates of a PEM text, one after the other; what is none is passed over. */
export function certificatesOf(pem: string): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (const [block] of pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g))
    try {
      found.push(new X509Certificate(block));
    } catch {
      // The TLS layer trusts it as little.
    }
  return found;
}

function leadsTo(
  roots: readonly X509Certificate[],
  certificate: X509Certificate,
  issuers: readonly X509Certificate[],
  depth: number,
): boolean {
  if (depth === 0) return false;
  if (roots.some((root) => root.raw.equals(certificate.raw) || isIssuer(root, certificate))) return true;
  return issuers.some(
    (each) =>
      each.ca &&
      !each.raw.equals(certificate.raw) &&
      isIssuer(each, certificate) &&
      leadsTo(roots, each, issuers, depth - 1),
  );
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // a key of a kind that cannot sign
  }
}
