import { corev1 } from '@k8ts/api';
import { componentStatusColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';

export const componentStatusStrategy: Strategy<corev1.ComponentStatus> = {
  type: corev1.componentStatuses,
  columns: componentStatusColumns,
};
