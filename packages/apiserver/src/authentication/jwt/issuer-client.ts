/** GET requests to token issuers. */
import { request as httpsRequest } from 'node:https';
import { goQuote } from '@k8ts/apimachinery';
import { errorMessage, realClock } from '@k8ts/base';

export interface IssuerAnswer {
  readonly status: number;
  readonly body: string;
  readonly cacheControl: string;
  readonly expires: string;
}

/** Rejects with an Error that says what was asked and why there is no answer. */
export type IssuerClient = (url: string, bearerToken?: string) => Promise<IssuerAnswer>;

const TIMEOUT = 30_000;
const MAX_ANSWER_BYTES = 3 * 1024 * 1024;
const MAX_REDIRECTS = 10;

/** `ca`: PEM; default: the authorities that Node knows. The other side is in real time, whatever clock the cluster has. */
export function createIssuerClient(ca: string | undefined, signal: AbortSignal): IssuerClient {
  const get = async (url: string, token: string | undefined, redirects: number): Promise<IssuerAnswer> => {
    const fail = (message: string): Error => new Error(`Get ${goQuote(url)}: ${message}`);
    // Everything that is asked of issuers decides who somebody is.
    if (!/^https:/i.test(url) || !URL.canParse(url)) throw fail('unsupported protocol scheme');
    const { answer, location } = await getOnce(url, token, ca, signal, fail);
    if (location === undefined) return answer;
    if (redirects === 0) throw fail(`stopped after ${String(MAX_REDIRECTS)} redirects`);
    if (!URL.canParse(location, url)) throw fail('failed to parse Location header');
    const target = new URL(location, url);
    const isSameHost = target.host === new URL(url).host;
    return get(target.href, isSameHost ? token : undefined, redirects - 1);
  };
  return (url, bearerToken) => get(url, bearerToken, MAX_REDIRECTS);
}

function getOnce(
  url: string,
  token: string | undefined,
  ca: string | undefined,
  signal: AbortSignal,
  fail: (message: string) => Error,
): Promise<{ readonly answer: IssuerAnswer; readonly location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, {
      agent: false,
      signal,
      headers: {
        'user-agent': 'kube-apiserver',
        accept: 'application/json',
        ...(token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(ca === undefined ? {} : { ca }),
    });
    const cancelTimeout = realClock.setTimeout(() => end(fail('context deadline exceeded')), TIMEOUT);
    const end = (error: Error): void => {
      cancelTimeout();
      reject(error);
      request.destroy();
    };
    request.once('error', (error) => end(fail(errorMessage(error))));
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) end(fail('the answer is too large'));
        else chunks.push(chunk);
      });
      response.once('error', (error) => end(fail(errorMessage(error))));
      response.once('aborted', () => end(fail('unexpected EOF')));
      response.once('end', () => {
        cancelTimeout();
        const status = response.statusCode ?? 0;
        const { headers } = response;
        resolve({
          answer: {
            status,
            body: Buffer.concat(chunks).toString('utf8'),
            cacheControl: headers['cache-control'] ?? '',
            expires: headers.expires ?? '',
          },
          location: [301, 302, 303, 307, 308].includes(status) ? headers.location : undefined,
        });
      });
    });
    request.end();
  });
}
