import { ServerError } from './find-container.ts';

/** What a path of the kubelet's API asks for. */
export type Route =
  | { readonly kind: 'healthz' }
  | { readonly kind: 'pods' }
  | { readonly kind: 'runningpods' }
  | { readonly kind: 'metrics' }
  | { readonly kind: 'metrics-cadvisor' }
  | { readonly kind: 'metrics-resource' }
  | { readonly kind: 'metrics-probes' }
  | { readonly kind: 'stats-summary' }
  | ({ readonly kind: 'containerLogs' | 'exec' | 'attach' | 'run' } & ContainerTarget)
  | ({ readonly kind: 'portForward' } & PodTarget);

export interface PodTarget {
  readonly namespace: string;
  readonly pod: string;
  /** Empty: any. */
  readonly uid: string;
}

export interface ContainerTarget extends PodTarget {
  readonly container: string;
}

const PLAIN: Readonly<Record<string, Route>> = {
  '/healthz': { kind: 'healthz' },
  '/healthz/ping': { kind: 'healthz' },
  '/healthz/log': { kind: 'healthz' },
  '/healthz/syncloop': { kind: 'healthz' },
  '/pods': { kind: 'pods' },
  '/runningpods': { kind: 'runningpods' },
  '/metrics': { kind: 'metrics' },
  '/metrics/cadvisor': { kind: 'metrics-cadvisor' },
  '/metrics/resource': { kind: 'metrics-resource' },
  '/metrics/probes': { kind: 'metrics-probes' },
  '/stats/summary': { kind: 'stats-summary' },
};

const PATH_LIMIT = 4096;

/** Throws `ServerError` 404 for what is no path of the kubelet, 400 for what is no path at all. */
export function route(path: string): Route {
  if (path.length > PATH_LIMIT) throw new ServerError(414, 'the path is too long');
  const bare = path.length > 1 ? path.replace(/\/+$/, '') : path;
  if (Object.hasOwn(PLAIN, bare)) return PLAIN[bare] as Route;
  let parts: string[];
  try {
    parts = bare.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw new ServerError(400, 'the path is not well-formed');
  }
  const [kind, namespace, pod, third, fourth, ...more] = parts;
  if (
    namespace !== undefined &&
    pod !== undefined &&
    more.length === 0 &&
    parts.every((part) => part !== '')
  ) {
    switch (kind) {
      case 'containerLogs':
        if (third !== undefined && fourth === undefined)
          return { kind, namespace, pod, uid: '', container: third };
        break;
      case 'exec':
      case 'attach':
      case 'run':
        if (third !== undefined)
          return fourth === undefined
            ? { kind, namespace, pod, uid: '', container: third }
            : { kind, namespace, pod, uid: third, container: fourth };
        break;
      case 'portForward':
        if (fourth === undefined) return { kind, namespace, pod, uid: third ?? '' };
        break;
      case undefined:
        break;
    }
  }
  throw new ServerError(404, '404 page not found');
}
