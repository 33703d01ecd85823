/** Flow schemas and priority levels; what they do is in flowcontrol/. */
import { flowcontrolv1 } from '@k8ts/api';
import { flowSchemaColumns, priorityLevelColumns } from '../../printing/columns/other.ts';
import type { Strategy } from '../contract.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import { validateConditions, validateFlowSchema, validatePriorityLevel } from './validation.ts';

const MATCHING_PRECEDENCE = 1000;
const HAND_SIZE = 8;
const QUEUES = 64;
const QUEUE_LENGTH_LIMIT = 50;
const NOMINAL_SHARES = 30;

export const flowSchemaStrategy: Strategy<flowcontrolv1.FlowSchema> = {
  type: flowcontrolv1.flowSchemas,
  setDefaults({ spec }) {
    if (spec !== undefined && !spec.matchingPrecedence) spec.matchingPrecedence = MATCHING_PRECEDENCE;
  },
  ...generationRules(flowcontrolv1.flowSchemas),
  validate: validateFlowSchema,
  validateUpdate: validateFlowSchema,
  subresources: {
    status: statusStrategy({
      keepMetadata: true,
      validateUpdate: ({ status }) => validateConditions(status?.conditions),
    }),
  },
  columns: flowSchemaColumns,
};

export const priorityLevelConfigurationStrategy: Strategy<flowcontrolv1.PriorityLevelConfiguration> = {
  type: flowcontrolv1.priorityLevelConfigurations,
  setDefaults({ spec }) {
    const { exempt, limited } = spec ?? {};
    if (exempt !== undefined) {
      exempt.nominalConcurrencyShares ??= 0;
      exempt.lendablePercent ??= 0;
    }
    if (limited === undefined) return;
    limited.nominalConcurrencyShares ??= NOMINAL_SHARES;
    limited.lendablePercent ??= 0;
    const queuing = limited.limitResponse?.queuing;
    if (queuing === undefined) return;
    if (!queuing.handSize) queuing.handSize = HAND_SIZE;
    if (!queuing.queues) queuing.queues = QUEUES;
    if (!queuing.queueLengthLimit) queuing.queueLengthLimit = QUEUE_LENGTH_LIMIT;
  },
  ...generationRules(flowcontrolv1.priorityLevelConfigurations),
  validate: validatePriorityLevel,
  validateUpdate: validatePriorityLevel,
  subresources: {
    status: statusStrategy({
      keepMetadata: true,
      validateUpdate: ({ status }) => validateConditions(status?.conditions),
    }),
  },
  columns: priorityLevelColumns,
};
