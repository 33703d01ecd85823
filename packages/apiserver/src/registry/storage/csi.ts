/** CSIDriver, CSINode and CSIStorageCapacity. */
import { storagev1, type Draft } from '@k8ts/api';
import {
  duplicate,
  exceedsBytes,
  invalidValue,
  isDNS1123Subdomain,
  isQualifiedName,
  notSupported,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { csiDriverColumns, csiNodeColumns, csiStorageCapacityColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { validateCsiDriverName } from '../core/pod-template/claim-spec.ts';
import { each, immutable, messages, notNegative } from '../field-rules.ts';
import { validateNonnegativeQuantity } from '../resource-names.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { nextGeneration } from '../strategy-parts.ts';

type Driver = storagev1.CSIDriver;
type Node = storagev1.CSINode;
type Capacity = storagev1.CSIStorageCapacity;

const FS_GROUP_POLICIES = ['File', 'None', 'ReadWriteOnceWithFSType'];
const LIFECYCLE_MODES = ['Persistent', 'Ephemeral'];
const MIN_UPDATE_PERIOD = 10;
const MIN_EXPIRATION = 600;
const MAX_EXPIRATION = 2 ** 32;
const MAX_NODE_ID_LENGTH = 192;
const TOKENS_IN_SECRETS =
  'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes';

const sameDriverSpec = fieldComparison(storagev1.csiDrivers, 'spec');
const sameModes = fieldComparison(storagev1.csiDrivers, 'spec', 'volumeLifecycleModes');
const sameRequests = fieldComparison(storagev1.csiDrivers, 'spec', 'tokenRequests');
const sameNodeDriver = fieldComparison(storagev1.csiNodes, 'spec', 'drivers', '*');
const sameTopology = fieldComparison(storagev1.csiStorageCapacities, 'nodeTopology');

function setDriverDefaults(driver: Draft<Driver>): void {
  const spec = (driver.spec ??= {});
  spec.attachRequired ??= true;
  spec.podInfoOnMount ??= false;
  spec.storageCapacity ??= false;
  spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
  if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ['Persistent'];
  spec.requiresRepublish ??= false;
  spec.seLinuxMount ??= false;
}

function validateTokenRequests(requests: readonly storagev1.TokenRequest[] | undefined): FieldError[] {
  const audiences = new Set<string>();
  return each(requests, 'spec.tokenRequests', ({ audience = '', expirationSeconds: seconds }, at) => {
    if (audiences.has(audience)) return [duplicate(`${at}.audience`, audience)];
    audiences.add(audience);
    const path = `${at}.expirationSeconds`;
    if (seconds !== undefined && seconds < MIN_EXPIRATION)
      return [invalidValue(path, seconds, 'may not specify a duration less than 10 minutes')];
    return seconds !== undefined && seconds > MAX_EXPIRATION
      ? [invalidValue(path, seconds, 'may not specify a duration larger than 2^32 seconds')]
      : [];
  });
}

function validateDriver({ spec }: Driver): FieldError[] {
  const { fsGroupPolicy: policy, nodeAllocatableUpdatePeriodSeconds: period, tokenRequests = [] } = spec;
  const errors: FieldError[] = [];
  if (spec.attachRequired === undefined) errors.push(required('spec.attachedRequired', ''));
  if (spec.podInfoOnMount === undefined) errors.push(required('spec.podInfoOnMount', ''));
  if (spec.storageCapacity === undefined) errors.push(required('spec.storageCapacity', ''));
  if (policy !== undefined && !FS_GROUP_POLICIES.includes(policy))
    errors.push(notSupported('spec.fsGroupPolicy', policy, FS_GROUP_POLICIES));
  errors.push(...validateTokenRequests(tokenRequests));
  for (const mode of spec.volumeLifecycleModes ?? [])
    if (!LIFECYCLE_MODES.includes(mode))
      errors.push(notSupported('spec.volumeLifecycleModes', mode, LIFECYCLE_MODES));
  if (spec.seLinuxMount === undefined) errors.push(required('spec.seLinuxMount', ''));
  if (period !== undefined && period < MIN_UPDATE_PERIOD)
    errors.push(
      invalidValue(
        'spec.nodeAllocatableUpdatePeriodSeconds',
        period,
        `must be greater than or equal to ${MIN_UPDATE_PERIOD} seconds`,
      ),
    );
  if (spec.serviceAccountTokenInSecrets !== undefined && tokenRequests.length === 0)
    errors.push(
      invalidValue(
        'spec.serviceAccountTokenInSecrets',
        spec.serviceAccountTokenInSecrets,
        'serviceAccountTokenInSecrets is set but no tokenRequests are specified',
      ),
    );
  return errors;
}

export const csiDriverStrategy: Strategy<Driver> = {
  type: storagev1.csiDrivers,
  setDefaults: setDriverDefaults,
  prepareForUpdate(driver, old) {
    if (!sameDriverSpec(driver.spec, old.spec)) nextGeneration(driver, old);
  },
  validate: validateDriver,
  validateUpdate: (driver, old) => [
    ...validateDriver(driver),
    ...immutable(
      driver.spec.attachRequired,
      driver.spec.attachRequired === old.spec.attachRequired,
      'spec.attachedRequired',
    ),
    ...immutable(
      driver.spec.volumeLifecycleModes,
      sameModes(driver.spec.volumeLifecycleModes, old.spec.volumeLifecycleModes),
      'spec.volumeLifecycleModes',
    ),
  ],
  warnings: ({ spec }, old) =>
    (spec.tokenRequests ?? []).length > 0 &&
    spec.serviceAccountTokenInSecrets === undefined &&
    (old === undefined || !sameRequests(spec.tokenRequests, old.spec.tokenRequests))
      ? [TOKENS_IN_SECRETS]
      : [],
  allowUnconditionalUpdate: false,
  columns: csiDriverColumns,
};

function validateNode({ spec }: Node): FieldError[] {
  const names = new Set<string>();
  return each(spec?.drivers, 'spec.drivers', (driver, at) => {
    const { name = '', nodeID = '', topologyKeys = [] } = driver;
    const errors = validateCsiDriverName(name, `${at}.name`);
    if (nodeID === '') errors.push(required(`${at}.nodeID`, ''));
    if (exceedsBytes(nodeID, MAX_NODE_ID_LENGTH))
      errors.push(invalidValue(`${at}.nodeID`, nodeID, `must be ${MAX_NODE_ID_LENGTH} characters or less`));
    errors.push(...notNegative(driver.allocatable?.count, `${at}.allocatable.count`));
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    for (const [i, topologyKey] of topologyKeys.entries()) {
      if (topologyKey === '') errors.push(required(at, ''));
      if (topologyKeys.indexOf(topologyKey) < i) errors.push(duplicate(at, topologyKey));
      errors.push(...messages(isQualifiedName(topologyKey), topologyKey, at));
    }
    return errors;
  });
}

export const csiNodeStrategy: Strategy<Node> = {
  type: storagev1.csiNodes,
  validate: validateNode,
  validateUpdate: (node, old) => [
    ...validateNode(node),
    ...(old.spec?.drivers ?? []).flatMap((before) => {
      const after = (node.spec?.drivers ?? []).find(({ name }) => name === before.name);
      if (after === undefined) return [];
      const { allocatable: _before, ...oldDriver } = before;
      const { allocatable: _after, ...newDriver } = after;
      return immutable(newDriver, sameNodeDriver(newDriver, oldDriver), 'spec.drivers');
    }),
  ],
  allowUnconditionalUpdate: false,
  columns: csiNodeColumns,
};

function validateCapacity(capacity: Capacity, allowInvalidValues: boolean): FieldError[] {
  const { nodeTopology, storageClassName = '', capacity: amount } = capacity;
  return [
    ...validateLabelSelector(nodeTopology, 'nodeTopology', { allowInvalidValues }),
    ...messages(isDNS1123Subdomain(storageClassName), storageClassName, 'storageClassName'),
    ...(amount === undefined ? [] : validateNonnegativeQuantity(amount, 'capacity')),
  ];
}

export const csiStorageCapacityStrategy: Strategy<Capacity> = {
  type: storagev1.csiStorageCapacities,
  validate: (capacity) => validateCapacity(capacity, false),
  validateUpdate: (capacity, old) => [
    ...validateCapacity(capacity, validateLabelSelector(old.nodeTopology, '').length > 0),
    ...immutable(
      capacity.nodeTopology,
      sameTopology(capacity.nodeTopology, old.nodeTopology),
      'nodeTopology',
    ),
    ...immutable(
      capacity.storageClassName,
      capacity.storageClassName === old.storageClassName,
      'storageClassName',
    ),
  ],
  allowUnconditionalUpdate: false,
  columns: csiStorageCapacityColumns,
};
