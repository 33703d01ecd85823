import { corev1 } from '@k8ts/api';
import type { authenticationv1 } from '@k8ts/api';
import { isAlreadyExists, isNotFound } from '@k8ts/apimachinery';
import type { Clock, Scope } from '@k8ts/base';
import { createHttpTransport } from '@k8ts/client';
import type { ApiRequest, Client, HttpTransportOptions, Transport } from '@k8ts/client';

/** Tokens of the controllers' accounts are asked for this long, in seconds, and anew at four fifths of it. */
const TOKEN_SECONDS = 3600;

/** Requests in the name of a service account of kube-system, which is made when it is missing. */
export function accountTransport(
  client: Client,
  server: HttpTransportOptions,
  account: string,
  scope: Scope,
  clock: Clock,
): Transport {
  let current: { readonly transport: Transport & AsyncDisposable; readonly renewAt: number } | undefined;
  let renewing: Promise<Transport> | undefined;
  const renew = async (): Promise<Transport> => {
    const accounts = client.resource(corev1.serviceAccounts, 'kube-system');
    const ask = (): Promise<authenticationv1.TokenRequest> =>
      accounts.createSubresource(account, 'token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: TOKEN_SECONDS },
      });
    const answer = await ask().catch(async (error: unknown) => {
      if (!isNotFound(error)) throw error;
      await accounts
        .create({ metadata: { name: account, namespace: 'kube-system' } })
        .catch((failure: unknown) => {
          if (!isAlreadyExists(failure)) throw failure;
        });
      return ask();
    });
    const { cert: _cert, key: _key, token: _token, tokenFile: _file, ...anonymous } = server;
    const transport = createHttpTransport({ ...anonymous, token: answer.status?.token ?? '' });
    // The one before may still have requests under way; it goes with the program.
    scope.use(transport);
    current = { transport, renewAt: clock.monotonic() + TOKEN_SECONDS * 800 };
    return transport;
  };
  const transportNow = (): Promise<Transport> | Transport => {
    if (current !== undefined && clock.monotonic() < current.renewAt) return current.transport;
    renewing ??= renew().finally(() => (renewing = undefined));
    return renewing;
  };
  return {
    request: async <T>(request: ApiRequest) => (await transportNow()).request<T>(request),
    watch: async <T>(request: ApiRequest) => (await transportNow()).watch<T>(request),
  };
}
