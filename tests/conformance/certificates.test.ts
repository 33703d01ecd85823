import { certificatesv1, type New } from '@k8ts/api';
import { parseKubeconfig } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { isGone, useSuite, watch } from './support.ts';

type Request = certificatesv1.CertificateSigningRequest;

/** For e2e.example.com; its key is lost. */
const REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIIBAjCBqQIBADAaMRgwFgYDVQQDDA9lMmUuZXhhbXBsZS5jb20wWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAAQ0G7lWihEDzpyGQMK8r7DY85Irzr/u7TI++xcvfm/8
7/RaE/DhRZSqgEEi89056P4E6Pu4j6dlQMjt6BmEP081oC0wKwYJKoZIhvcNAQkO
MR4wHDAaBgNVHREEEzARgg9lMmUuZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDSAAw
RQIgG1ESBtFKmiBullhX5UCIUFYJjHw5tSGR492enrzR1YYCIQCS3ooVnndYCQUC
kwFCppB2XiBzVuetCeUfeOK7oUOMuw==
-----END CERTIFICATE REQUEST-----
`;

describe('certificate signing requests', () => {
  const suite = useSuite({ nodes: 0 });
  const conditionTypes = ({ status }: Request): readonly string[] =>
    (status?.conditions ?? []).map(({ type }) => type);

  it('[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]', async () => {
    const { groups } = await suite.client.raw<{
      readonly groups: readonly {
        readonly name: string;
        readonly versions: readonly { version: string }[];
      }[];
    }>('/apis');
    const group = groups.find(({ name }) => name === 'certificates.k8s.io');
    expect(group?.versions).toContainEqual(expect.objectContaining({ version: 'v1' }));
    expect(await suite.client.raw('/apis/certificates.k8s.io')).toMatchObject({
      versions: [{ version: 'v1' }],
    });
    const { resources } = await suite.client.raw<{
      readonly resources: readonly { readonly name: string; readonly verbs: readonly string[] }[];
    }>('/apis/certificates.k8s.io/v1');
    const all = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
    for (const [suffix, verbs] of [
      ['', all],
      ['/approval', ['get', 'patch', 'update']],
      ['/status', ['get', 'patch', 'update']],
    ] as const) {
      const found = resources.find(({ name }) => name === `certificatesigningrequests${suffix}`);
      expect([...(found?.verbs ?? [])].sort()).toEqual(verbs);
    }

    const requests = suite.client.resource(certificatesv1.certificateSigningRequests);
    const signerName = 'example.com/e2e-certificates';
    const fieldSelector = `spec.signerName=${signerName}`;
    const template: New<Request> = {
      metadata: { generateName: 'e2e-example-csr-' },
      spec: {
        request: Buffer.from(REQUEST).toString('base64'),
        signerName,
        expirationSeconds: 3600,
        usages: ['digital signature', 'key encipherment', 'server auth'],
      },
    };
    await requests.create(template);
    await requests.create(template);
    // One of another signer, which none of the selectors below may find.
    const other = await requests.create({
      ...template,
      spec: { ...template.spec, signerName: 'example.com/other' },
    });
    const created = await requests.create(template);
    const { name, uid } = created.metadata;
    expect(name).toMatch(/^e2e-example-csr-./);
    const gotten = await requests.get(name);
    expect(gotten).toMatchObject({
      metadata: { uid },
      spec: { expirationSeconds: 3600, username: 'kubernetes-admin' },
    });
    const listed = await requests.list({ fieldSelector });
    expect(listed.items).toHaveLength(3);

    await using watcher = await watch(requests, {
      resourceVersion: listed.metadata.resourceVersion,
      fieldSelector: `metadata.name=${name}`,
    });
    const patched = await requests.patch(
      name,
      { metadata: { annotations: { patched: 'true' } } },
      { type: 'merge' },
    );
    expect(patched.metadata.annotations).toMatchObject({ patched: 'true' });
    expect(BigInt(patched.metadata.resourceVersion ?? '')).toBeGreaterThan(
      BigInt(gotten.metadata.resourceVersion ?? ''),
    );
    const updated = await requests.update({
      ...patched,
      metadata: { ...patched.metadata, annotations: { ...patched.metadata.annotations, updated: 'true' } },
    });
    expect(updated.metadata.annotations).toMatchObject({ patched: 'true', updated: 'true' });
    for (const annotations of [{ patched: 'true' }, { patched: 'true', updated: 'true' }])
      expect(await watcher.next()).toMatchObject({
        type: 'MODIFIED',
        object: { metadata: { name, annotations } },
      });

    const itself = {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { uid },
    };
    expect(await requests.getSubresource(name, 'approval')).toMatchObject(itself);
    const condition = { status: 'True', reason: 'E2E', message: 'Set by a test' } as const;
    const approval = await requests.patch(
      name,
      {
        metadata: { annotations: { patchedapproval: 'true' } },
        status: { conditions: [{ type: 'ApprovalPatch', status: 'True', reason: 'e2e' }] },
      },
      { type: 'merge', subresource: 'approval' },
    );
    expect(conditionTypes(approval)).toEqual(['ApprovalPatch']);
    expect(approval.metadata.annotations).toMatchObject({ patchedapproval: 'true' });
    const approved = await requests.updateSubresource<Request>(name, 'approval', {
      ...approval,
      status: {
        ...approval.status,
        conditions: [...(approval.status?.conditions ?? []), { ...condition, type: 'Approved' }],
      },
    });
    expect(conditionTypes(approved)).toEqual(['ApprovalPatch', 'Approved']);

    expect(await requests.getSubresource(name, 'status')).toMatchObject(itself);
    const authority = parseKubeconfig(suite.cluster.kubeconfig, 'kubeconfig').clusters?.[0]?.cluster;
    const certificate = authority?.['certificate-authority-data'] ?? '';
    expect(certificate).not.toBe('');
    const issued = await requests.patch(
      name,
      { metadata: { annotations: { patchedstatus: 'true' } }, status: { certificate } },
      { type: 'merge', subresource: 'status' },
    );
    expect(issued.status?.certificate).toBe(certificate);
    expect(issued.metadata.annotations).toMatchObject({ patchedstatus: 'true' });
    const noted = await requests.updateStatus({
      ...issued,
      status: {
        ...issued.status,
        conditions: [...(issued.status?.conditions ?? []), { ...condition, type: 'StatusUpdate' }],
      },
    });
    expect(conditionTypes(noted)).toEqual(['ApprovalPatch', 'Approved', 'StatusUpdate']);
    expect(noted.status?.certificate).toBe(certificate);

    await requests.delete(name);
    expect(await isGone(requests.get(name))).toBe(true);
    expect((await requests.list({ fieldSelector })).items).toHaveLength(2);
    await requests.deleteCollection({ fieldSelector });
    expect((await requests.list({ fieldSelector })).items).toEqual([]);
    expect(await isGone(requests.get(other.metadata.name))).toBe(false);
  });
});
