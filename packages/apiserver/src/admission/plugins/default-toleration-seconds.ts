import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { isResource } from '../refuse.ts';
import type { AdmissionPlugin } from '../contract.ts';

const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';

export interface DefaultTolerationSecondsOptions {
  /** Seconds; the flags `--default-not-ready-toleration-seconds` and `--default-unreachable-toleration-seconds`. */
  readonly notReady?: number;
  readonly unreachable?: number;
}

/** Pods stay five minutes on a node that fails, unless they say otherwise. */
export function defaultTolerationSeconds({
  notReady = 300,
  unreachable = 300,
}: DefaultTolerationSecondsOptions = {}): AdmissionPlugin {
  return {
    name: 'DefaultTolerationSeconds',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    admit({ object }) {
      const { spec } = object as Draft<corev1.Pod>;
      const tolerations = spec.tolerations ?? [];
      const missing = [
        { key: NOT_READY, seconds: notReady },
        { key: UNREACHABLE, seconds: unreachable },
      ].filter(({ key }) => !tolerations.some((toleration) => tolerates(toleration, key)));
      if (missing.length === 0) return;
      spec.tolerations = [
        ...tolerations,
        ...missing.map(({ key, seconds }) => ({
          key,
          operator: 'Exists' as const,
          effect: 'NoExecute' as const,
          tolerationSeconds: seconds,
        })),
      ];
    },
  };
}

/** An empty key or effect means all of them. */
function tolerates({ key, effect }: Draft<corev1.Toleration>, taint: string): boolean {
  return (
    (key === undefined || key === '' || key === taint) && (effect === undefined || effect === 'NoExecute')
  );
}
