/** Failures of connections in the words of Go's network library, which scripts and people know. */
import { errorMessage } from '@k8ts/base';

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
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    default:
      return errorMessage(error);
  }
}
