import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An authority of its own, or (with `by`) one that another signed. */
export function testAuthority(commonName: string, by?: TestCertificate): TestCertificate {
  return issue(`/CN=${commonName}`, 'basicConstraints=critical,CA:TRUE', by);
}

/** `subject`: `/O=system:masters/CN=admin`. With `hosts` for a server, without for a client. */
export function testCertificate(
  by: TestCertificate,
  subject: string,
  hosts?: readonly string[],
): TestCertificate {
  const names = (hosts ?? []).map((host) => (/^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`));
  const extensions =
    hosts === undefined
      ? 'extendedKeyUsage=clientAuth'
      : `extendedKeyUsage=serverAuth\nsubjectAltName=${names.join(',')}`;
  return issue(subject, `basicConstraints=CA:FALSE\n${extensions}`, by);
}

function issue(subject: string, extensions: string, by: TestCertificate | undefined): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'k8ts-certificate-'));
  const file = (name: string): string => join(directory, name);
  const openssl = (...args: readonly string[]): void =>
    void execFileSync('openssl', [...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    openssl('req', '-new', ...KEY, '-subj', subject, '-keyout', file('key'), '-out', file('csr'));
    writeFileSync(file('ext'), extensions);
    const signer =
      by === undefined ? ['-signkey', file('key')] : ['-CA', file('ca'), '-CAkey', file('ca.key')];
    if (by !== undefined) {
      writeFileSync(file('ca'), by.cert);
      writeFileSync(file('ca.key'), by.key);
    }
    openssl(
      ...['x509', '-req', '-in', file('csr'), '-days', '2', '-extfile', file('ext'), '-out', file('cert')],
      ...['-set_serial', `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex')}`],
      ...signer,
    );
    return { cert: readFileSync(file('cert'), 'utf8'), key: readFileSync(file('key'), 'utf8') };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
