/** Kubernetes' URL library. */
import { declareFunction, memberOverload, overload } from '../language/function.ts';
import type { FunctionDeclaration } from '../language/function.ts';
import { BOOL, listType, mapType, objectType, STRING } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { stringList } from '../value/list.ts';
import { EntryMap } from '../value/map.ts';
import { CelError, CelOpaque, NO_SUCH_OVERLOAD } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';
import { hostname, parseRequestUri, port, queryValues, UrlError } from './go-url.ts';
import type { GoUrl } from './go-url.ts';

const URL_TYPE: CelType = objectType('kubernetes.URL');

class CelUrl extends CelOpaque {
  readonly url: GoUrl;

  constructor(url: GoUrl) {
    super();
    this.url = url;
  }

  override get type(): CelType {
    return URL_TYPE;
  }

  override equals(other: CelValue): boolean | CelError {
    return other instanceof CelUrl ? this.toText() === other.toText() : NO_SUCH_OVERLOAD;
  }

  override toText(): string {
    const { scheme, opaque, user, host, escapedPath, query } = this.url;
    const authority =
      host !== '' || user !== undefined ? `//${user === undefined ? '' : `${user}@`}${host}` : '';
    return `${scheme === '' ? '' : `${scheme}:`}${opaque}${authority}${escapedPath}${query === undefined ? '' : `?${query}`}`;
  }
}

function parse(text: string): CelUrl | CelError {
  try {
    return new CelUrl(parseRequestUri(text));
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    return new CelError(`URL parse error during conversion from string: ${error.message}`);
  }
}

function query(value: CelUrl): CelResult {
  return EntryMap.of(
    [...queryValues(value.url.query ?? '')].map(([key, values]) => [key, stringList(values)] as const),
  );
}

function part(name: string, id: string, read: (url: GoUrl) => string): FunctionDeclaration {
  return declareFunction(
    name,
    memberOverload(id, [URL_TYPE], STRING, (value: CelUrl) => read(value.url)),
  );
}

export const URL_LIBRARY: readonly FunctionDeclaration[] = [
  declareFunction('url', overload('string_to_url', [STRING], URL_TYPE, parse)),
  declareFunction(
    'isURL',
    overload('is_url_string', [STRING], BOOL, (text: string) => parse(text) instanceof CelUrl),
  ),
  part('getScheme', 'url_get_scheme', (url) => url.scheme),
  part('getHost', 'url_get_host', (url) => url.host),
  part('getHostname', 'url_get_hostname', hostname),
  part('getPort', 'url_get_port', port),
  part('getEscapedPath', 'url_get_escaped_path', (url) => url.escapedPath),
  declareFunction(
    'getQuery',
    memberOverload('url_get_query', [URL_TYPE], mapType(STRING, listType(STRING)), query),
  ),
];
