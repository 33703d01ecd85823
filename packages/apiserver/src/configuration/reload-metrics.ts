import { createHash } from 'node:crypto';
import type { Clock, Metrics } from '@k8ts/base';

/** apiserver_authentication_config_controller_* and apiserver_authorization_config_controller_*. */
interface ReloadMetrics {
  succeeded(text: string): void;
  failed(): void;
}

/** `text`: the configuration that is in force when the server starts. `serverId`: see `apiServerId`. */
export function createReloadMetrics(
  {
    metrics,
    clock,
    serverId,
  }: { readonly metrics: Metrics; readonly clock: Clock; readonly serverId: string },
  subject: 'authentication' | 'authorization',
  text: string,
): ReloadMetrics {
  const prefix = `apiserver_${subject}_config_controller`;
  const reloads = metrics.counter({
    name: `${prefix}_automatic_reloads_total`,
    help: `Total number of automatic reloads of ${subject} configuration split by status and apiserver identity.`,
    labels: ['status', 'apiserver_id_hash'],
  });
  const last = metrics.gauge({
    name: `${prefix}_automatic_reload_last_timestamp_seconds`,
    help: `Timestamp of the last automatic reload of ${subject} configuration split by status and apiserver identity.`,
    labels: ['status', 'apiserver_id_hash'],
  });
  const info = metrics.gauge({
    name: `${prefix}_last_config_info`,
    help: `Information about the last applied ${subject} configuration with hash as label, split by apiserver identity.`,
    labels: ['apiserver_id_hash', 'hash'],
  });
  const server = metricHash(serverId);
  const record = (status: string): void => {
    reloads.increment([status, server]);
    last.set(clock.now() / 1000, [status, server]);
  };
  let shown: readonly string[] = [];
  const show = (configuration: string): void => {
    if (shown.length > 0) info.remove(shown);
    shown = [server, metricHash(configuration)];
    info.set(1, shown);
  };
  show(text);
  return {
    succeeded: (configuration) => {
      record('success');
      show(configuration);
    },
    failed: () => record('failure'),
  };
}

/** What metrics show instead of a text. */
export function metricHash(text: string): string {
  return text === '' ? '' : `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
