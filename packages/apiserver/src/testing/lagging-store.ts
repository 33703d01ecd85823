import type { Store, WatchRequest } from '@k8ts/store';

/**
 * A store that others write too, at the other end of a network: watch events come `delay` milliseconds late.
 * `onWatch` sees the watches that are opened on it.
 */
export function laggingStore(
  inner: Store,
  delay: number,
  onWatch: (request: WatchRequest) => void = () => undefined,
): Store {
  return new Proxy(inner, {
    get(target, property) {
      if (property === 'exclusive') return false;
      if (property === 'watch')
        return (request: WatchRequest) => {
          onWatch(request);
          return target.watch({
            ...request,
            onEvents: (events, revision) => setTimeout(() => request.onEvents(events, revision), delay),
            onProgress: (revision) => setTimeout(() => request.onProgress?.(revision), delay),
          });
        };
      const value: unknown = Reflect.get(target, property);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
}
