/** The addresses of webhooks (k8s.io/apiserver/pkg/util/webhook/validation.go). */
import { X509Certificate } from 'node:crypto';
import {
  child,
  goQuote,
  invalidValue,
  isDNS1123Subdomain,
  isValidPortNum,
  required,
  type FieldError,
} from '@k8ts/apimachinery';

const FORM = '; desired format: https://host[/path]';

export function validateWebhookUrl(url: string, path: string): FieldError[] {
  const problem = urlProblem(url);
  if (problem !== undefined)
    return [required(path, `url must be a valid URL: parse ${goQuote(url)}: ${problem}${FORM}`)];
  const [, scheme = '', , authority = '', , , query = '', , fragment = ''] = URL_PARTS.exec(url) ?? [];
  const at = authority.lastIndexOf('@');
  const errors: FieldError[] = [];
  if (scheme.toLowerCase() !== 'https')
    errors.push(invalidValue(path, scheme.toLowerCase(), `'https' is the only allowed URL scheme${FORM}`));
  if (authority.slice(at + 1) === '') errors.push(invalidValue(path, '', `host must be specified${FORM}`));
  if (at >= 0)
    errors.push(invalidValue(path, authority.slice(0, at), 'user information is not permitted in the URL'));
  if (fragment !== '') errors.push(invalidValue(path, fragment, 'fragments are not permitted in the URL'));
  if (query !== '') errors.push(invalidValue(path, query, 'query parameters are not permitted in the URL'));
  return errors;
}

const URL_PARTS = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(\/\/([^/?#]*))?([^?#]*)(\?([^#]*))?(#(.*))?$/s;

/** What Go's url.Parse says of a text that is no URL. */
function urlProblem(url: string): string | undefined {
  if (/[\x00-\x1f\x7f]/.test(url)) return 'net/url: invalid control character in URL';
  if (url.startsWith(':')) return 'missing protocol scheme';
  const [, scheme, , authority = '', path = ''] = URL_PARTS.exec(url) ?? [];
  if (scheme === undefined && /^[^/]*:/.test(path)) return 'first path segment in URL cannot contain colon';
  const escape = /%(?![0-9A-Fa-f]{2}).{0,2}/.exec(authority + path)?.[0];
  if (escape !== undefined) return `invalid URL escape ${goQuote(escape)}`;
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const port = /:[^:\]]*$/.exec(host)?.[0];
  if (port !== undefined && !/^:[0-9]*$/.test(port)) return `invalid port ${goQuote(port)} after host`;
  const char = /[ \\^`{|}]/.exec(host)?.[0];
  return char === undefined ? undefined : `invalid character ${goQuote(char)} in host name`;
}

export interface WebhookService {
  readonly namespace: string;
  readonly name: string;
  readonly path?: string;
  readonly port?: number;
}

export function validateWebhookService(service: WebhookService, path: string): FieldError[] {
  const { namespace, name, port = 0 } = service;
  const errors: FieldError[] = [];
  if (!name) errors.push(required(child(path, 'name'), ''));
  if (!namespace) errors.push(required(child(path, 'namespace'), ''));
  const problems = isValidPortNum(port);
  if (problems.length > 0)
    errors.push(invalidValue(child(path, 'port'), port, `port is not valid: ${problems.join(', ')}`));
  return [...errors, ...validatePath(service.path ?? '', child(path, 'path'))];
}

function validatePath(urlPath: string, path: string): FieldError[] {
  if (urlPath === '/' || urlPath === '') return [];
  if (urlPath === '//') return [invalidValue(path, urlPath, 'segment[0] may not be empty')];
  const errors: FieldError[] = [];
  if (!urlPath.startsWith('/')) errors.push(invalidValue(path, urlPath, "must start with a '/'"));
  const rest = urlPath.slice(1);
  const steps = (rest.endsWith('/') ? rest.slice(0, -1) : rest).split('/');
  steps.forEach((step, i) => {
    const problems = step === '' ? ['may not be empty'] : isDNS1123Subdomain(step);
    for (const problem of problems)
      errors.push(invalidValue(path, urlPath, `segment[${i}]${step === '' ? '' : ':'} ${problem}`));
  });
  return errors;
}

/** `caBundle` is base64 of certificates in PEM. */
export function validateCaBundle(caBundle: string, path: string): FieldError[] {
  const problem = caBundleProblem(Buffer.from(caBundle, 'base64').toString('latin1'));
  return problem === undefined
    ? []
    : [invalidValue(path, caBundle, `unable to load root certificates: ${problem}`)];
}

const PEM_BLOCK = /-----BEGIN ([^\n-]+)-----\r?\n([^-]*)-----END \1-----/g;

function caBundleProblem(pem: string): string | undefined {
  const blocks = [...pem.matchAll(PEM_BLOCK)];
  const certificates = blocks.filter(([, type, body = '']) => type === 'CERTIFICATE' && !body.includes(':'));
  const wrong = certificates.map(([block]) => certificateProblem(block)).filter((why) => why !== undefined);
  if (certificates.length > wrong.length) return undefined;
  if (wrong.length > 0) return `failed to parse certificate: ${wrong[0]}`;
  return blocks.length === 0
    ? 'unable to parse bytes as PEM block'
    : 'no valid certificate authority data seen';
}

function certificateProblem(pem: string): string | undefined {
  try {
    new X509Certificate(pem);
    return undefined;
  } catch {
    return 'x509: malformed certificate';
  }
}
