/**
 * Links of a proxied page that lead to the page's own server are made to lead through the proxy
 * (k8s.io/apimachinery/pkg/util/proxy/transport.go).
 */

export interface ProxiedPage {
  /** What stands before the backend's paths in this server's URLs. */
  readonly prefix: string;
  /** `host:port` of the backend. */
  readonly authority: string;
  /** The Host header of the client's request; empty when there was none. */
  readonly requestHost: string;
}

/**
 * A link to another host, or relative to the page, stays as it is. `/a` becomes `PREFIX/a`; so does `http://BACKEND/a`;
 * `https://REQUEST-HOST/a` becomes `https://REQUEST-HOST/PREFIX/a`.
 */
export function rewriteLink(link: string, { prefix, authority, requestHost }: ProxiedPage): string {
  const [, origin = '', host = '', rest = ''] =
    /^((?:[a-z][a-z0-9+.-]*:)?\/\/([^/?#]*))?(.*)$/is.exec(link) ?? [];
  if (!rest.startsWith('/')) return link;
  if (host !== '' && host !== authority && host !== requestHost) return link;
  const path = rest.startsWith(prefix) ? rest : prefix + rest;
  return host !== '' && host === requestHost ? origin + path : path;
}
