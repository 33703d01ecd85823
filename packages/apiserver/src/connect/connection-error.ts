/** Failures of connections in the words of Go's network library, which scripts and people know. */
import { errorMessage } from '@k8ts/base';

const UNVERIFIED = 'tls: failed to verify certificate: x509: ';

export function connectionError(
  error: Error & { readonly code?: string; readonly address?: string; readonly port?: number },
): string {
  const { code, address, port } = error;
  const to = `${address}:${port}`;
  switch (code) {
    case 'ECONNREFUSED':
      return `dial tcp ${to}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `dial tcp ${to}: connect: no route to host`;
    case 'ENOTFOUND':
      return `dial tcp: lookup ${(error as { hostname?: string }).hostname ?? ''}: no such host`;
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return `${UNVERIFIED}certificate signed by unknown authority`;
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return `${UNVERIFIED}certificate has expired or is not yet valid`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID': {
      const { host = '', cert } = error as { host?: string; cert?: { subjectaltname?: string } };
      const names = (cert?.subjectaltname ?? '').replace(/\b(?:DNS|IP Address):/g, '');
      return `${UNVERIFIED}certificate is valid for ${names}, not ${host}`;
    }
    default:
      return errorMessage(error);
  }
}
