import { resourcev1 } from '@k8ts/api';
import {
  nameAndAgeColumns,
  resourceClaimColumns,
  resourceSliceColumns,
} from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';

/** Dynamic resource allocation (KEP-4381): the kinds are kept and shown; their rules are the schema's alone. */
export const resourceClaimStrategy: Strategy<resourcev1.ResourceClaim> = {
  type: resourcev1.resourceClaims,
  columns: resourceClaimColumns,
};

export const resourceClaimTemplateStrategy: Strategy<resourcev1.ResourceClaimTemplate> = {
  type: resourcev1.resourceClaimTemplates,
  columns: nameAndAgeColumns,
};

export const deviceClassStrategy: Strategy<resourcev1.DeviceClass> = {
  type: resourcev1.deviceClasses,
  columns: nameAndAgeColumns,
};

export const resourceSliceStrategy: Strategy<resourcev1.ResourceSlice> = {
  type: resourcev1.resourceSlices,
  columns: resourceSliceColumns,
};
