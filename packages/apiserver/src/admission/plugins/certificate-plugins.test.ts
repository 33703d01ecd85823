import { certificatesv1, certificatesv1beta1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { AuthorizationAttributes, Authorizer } from '../../authorization/contract.ts';
import { admit } from '../testing/admission-request.ts';
import { certificateApproval } from './certificate-approval.ts';
import { organizationsOf } from './certificate-request-subject.ts';
import { certificateSigning } from './certificate-signing.ts';
import { certificateSubjectRestriction } from './certificate-subject-restriction.ts';
import { clusterTrustBundleAttest } from './cluster-trust-bundle-attest.ts';

type Request = certificatesv1.CertificateSigningRequest;

/** Allows what is listed, as `VERB NAME` of a signer. */
function allowing(...allowed: readonly string[]): readonly Authorizer[] {
  const isAllowed = ({ verb, apiGroup, resource, name }: AuthorizationAttributes): boolean =>
    apiGroup === 'certificates.k8s.io' && resource === 'signers' && allowed.includes(`${verb} ${name}`);
  return [
    {
      name: 'test',
      authorize: (asked) => ({ verdict: isAllowed(asked) ? 'allow' : 'no-opinion', reason: '' }),
    },
  ];
}

const csr = (signerName = 'example.com/signer', status: Request['status'] = {}, request = ''): Request => ({
  metadata: { name: 'csr' },
  spec: { request, signerName },
  status,
});
const resource = certificatesv1.certificateSigningRequests;
const REFUSED = 'certificatesigningrequests.certificates.k8s.io "csr" is forbidden: ';

describe('CertificateApproval', () => {
  test.each<[string, readonly string[], string | undefined]>([
    ['nothing', [], 'user not permitted to approve requests with signerName "example.com/signer"'],
    ['the verb for the signer', ['approve example.com/signer'], undefined],
    ['the verb for its domain', ['approve example.com/*'], undefined],
    [
      'another verb',
      ['sign example.com/signer', 'approve example.com', 'approve *'],
      'user not permitted to approve requests with signerName "example.com/signer"',
    ],
  ])('with %s', async (_what, allowed, message) => {
    const approved = csr('example.com/other', { conditions: [{ type: 'Approved', status: 'True' }] });
    const outcome = admit(certificateApproval(allowing(...allowed)), {
      operation: 'UPDATE',
      resource,
      subresource: 'approval',
      object: approved,
      oldObject: csr(),
    });
    await (message === undefined ? outcome : expect(outcome).rejects.toThrow(REFUSED + message));
  });

  test('only the approval is its', async () => {
    for (const subresource of ['', 'status'])
      await admit(certificateApproval([]), {
        operation: 'UPDATE',
        resource,
        subresource,
        object: csr(),
        oldObject: csr(),
      });
  });
});

describe('CertificateSigning', () => {
  const sign = (status: Request['status'], ...allowed: readonly string[]): Promise<unknown> =>
    admit(certificateSigning(allowing(...allowed)), {
      operation: 'UPDATE',
      resource,
      subresource: 'status',
      object: csr(undefined, status),
      oldObject: csr(undefined, {}),
    });
  const message = `${REFUSED}user not permitted to sign requests with signerName "example.com/signer"`;

  test.each<[string, Request['status']]>([
    ['a certificate', { certificate: 'eA==' }],
    ['a condition', { conditions: [{ type: 'Failed', status: 'True' }] }],
  ])('%s', async (_what, status) => {
    await expect(sign(status)).rejects.toThrow(message);
    await expect(sign(status, 'approve example.com/signer')).rejects.toThrow(message);
    await sign(status, 'sign example.com/signer');
    await sign(status, 'sign example.com/*');
  });

  test('what changes neither is let be', async () => {
    await sign({});
    await sign({ conditions: [] });
  });
});

describe('ClusterTrustBundleAttest', () => {
  type Bundle = certificatesv1beta1.ClusterTrustBundle;
  const bundle = (signerName: string | undefined, trustBundle = 'pem', owners = 0): Bundle => ({
    metadata: {
      name: 'b',
      ownerReferences: Array.from({ length: owners }, () => ({
        apiVersion: 'v1',
        kind: 'X',
        name: 'x',
        uid: 'u',
      })),
    },
    spec: { trustBundle, ...(signerName === undefined ? {} : { signerName }) },
  });
  const write = (object: Bundle, oldObject?: Bundle, ...allowed: readonly string[]): Promise<unknown> =>
    admit(clusterTrustBundleAttest(allowing(...allowed)), {
      operation: oldObject === undefined ? 'CREATE' : 'UPDATE',
      resource: certificatesv1beta1.clusterTrustBundles,
      object,
      ...(oldObject === undefined ? {} : { oldObject }),
    });
  const message =
    'clustertrustbundles.certificates.k8s.io "b" is forbidden: user not permitted to attest for signerName "example.com/s"';

  test.each<[string, Bundle, Bundle | undefined, boolean]>([
    ['created with a signer', bundle('example.com/s'), undefined, false],
    ['created without one', bundle(undefined), undefined, true],
    ['changed', bundle('example.com/s', 'other'), bundle('example.com/s'), false],
    ['unchanged', bundle('example.com/s'), bundle('example.com/s'), true],
    ['orphaned', bundle('example.com/s', 'pem', 0), bundle('example.com/s', 'pem', 1), true],
  ])('%s', async (_what, object, old, allowed) => {
    if (allowed) await write(object, old);
    else await expect(write(object, old)).rejects.toThrow(message);
    await write(object, old, 'attest example.com/s');
    await write(object, old, 'attest example.com/*');
  });
});

/** An element of DER with its length in as few bytes as it takes. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const all = Buffer.concat(content);
  const length = all.length < 128 ? [all.length] : [0x82, all.length >> 8, all.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), all]);
}
const [UTF8_STRING, PRINTABLE_STRING, BMP_STRING] = [0x0c, 0x13, 0x1e];
const attribute = (oid: string, value: Buffer): Buffer =>
  der(0x30, der(0x06, Buffer.from(oid, 'hex')), value);
const ORGANIZATION = '55040a';
const COMMON_NAME = '550403';
const pem = (bytes: Buffer, label = 'CERTIFICATE REQUEST'): string =>
  Buffer.from(
    `-----BEGIN ${label}-----\n${bytes.toString('base64').replaceAll(/(.{64})/g, '$1\n')}\n-----END ${label}-----\n`,
  ).toString('base64');
const request = (...sets: readonly Buffer[]): string =>
  pem(der(0x30, der(0x30, der(0x02, Buffer.from([0])), der(0x30, ...sets)), der(0x30)));
const organization = (name: string, tag = UTF8_STRING): Buffer =>
  der(0x31, attribute(ORGANIZATION, der(tag, Buffer.from(name))));
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();

/** `openssl req -new -newkey ed25519 -subj /CN=a/O=devs/O=ops` */
const OPENSSL =
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHb01Gd0NBUUF3S1RFS01BZ0dBMVVFQXd3QllURU5NQXNHQTFVRUNnd0VaR1YyY3pFTU1Bb0dBMVVFQ2d3RApiM0J6TUNvd0JRWURLMlZ3QXlFQTJwZzVUZEIyY3lSN1c3NkhoaTBvZWxsODhMb0lNMXNrN0lSWUJNYy9WcktnCkFEQUZCZ01yWlhBRFFRQlJyM2tMTCsrQ2swUWx4UTVpZXd2UXBVYnk0aCtmN2oyUDA3RTRtT2JPd2dqYzJMWC8KQmNRUWM1UEw3TlU3UURXNGJpaUxCRzhieGowK0o5SjRNaGdCCi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=';

describe('CertificateSubjectRestriction', () => {
  const create = (text: string, signerName = 'kubernetes.io/kube-apiserver-client'): Promise<unknown> =>
    admit(certificateSubjectRestriction(), {
      operation: 'CREATE',
      resource,
      object: csr(signerName, {}, text),
    });
  const masters = request(
    der(0x31, attribute(COMMON_NAME, der(UTF8_STRING, Buffer.from('admin')))),
    organization('system:masters'),
  );
  const message = `${REFUSED}use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`;

  test.each<[string, string, string | undefined]>([
    ['system:masters', masters, message],
    ['as a printable string', request(organization('system:masters', PRINTABLE_STRING)), message],
    [
      'in UTF-16',
      request(der(0x31, attribute(ORGANIZATION, der(BMP_STRING, utf16('system:masters'))))),
      message,
    ],
    [
      'among others',
      request(organization('a'), organization('x'.repeat(200)), organization('system:masters')),
      message,
    ],
    [
      'in one set with another',
      request(
        der(
          0x31,
          attribute(COMMON_NAME, der(UTF8_STRING, Buffer.from('a'))),
          attribute(ORGANIZATION, der(UTF8_STRING, Buffer.from('system:masters'))),
        ),
      ),
      message,
    ],
    ['another group', request(organization('system:nodes')), undefined],
    [
      'as a name',
      request(der(0x31, attribute(COMMON_NAME, der(UTF8_STRING, Buffer.from('system:masters'))))),
      undefined,
    ],
    ['no groups', request(), undefined],
    ['what openssl makes', OPENSSL, undefined],
    ['no PEM', 'eA==', `${REFUSED}failed to parse CSR: PEM block type must be CERTIFICATE REQUEST`],
    ['no DER', pem(Buffer.from('0')), `${REFUSED}failed to parse CSR: asn1: syntax error: data truncated`],
    [
      'something else',
      pem(der(0x30, der(0x31))),
      `${REFUSED}failed to parse CSR: asn1: structure error: tags don't match`,
    ],
  ])('%s', async (_what, text, refusal) => {
    const outcome = create(text);
    await (refusal === undefined ? outcome : expect(outcome).rejects.toThrow(refusal));
  });

  test('other signers are not its', () => create(masters, 'kubernetes.io/kubelet-serving'));

  test('every request that is cut off is refused', () => {
    const whole = Buffer.from(
      /-----\n([\s\S]+)\n-----/.exec(Buffer.from(masters, 'base64').toString())?.[1] ?? '',
      'base64',
    );
    for (let length = 0; length < whole.length; length++)
      expect(() => organizationsOf(pem(whole.subarray(0, length)))).toThrow();
  });

  test('organizations', () => {
    expect(organizationsOf(OPENSSL)).toEqual(['devs', 'ops']);
  });
});
