import { apiregistrationv1, type Draft } from '@k8ts/api';
import {
  formatTime,
  goQuote,
  invalidValue,
  isDNS1035Label,
  isDNS1123Subdomain,
  isPathSegmentName,
  isValidPortNum,
  nameIsPathSegment,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { LOCALLY_AVAILABLE, withCondition } from '../../aggregation/api-service.ts';
import { apiServiceColumns } from '../../printing/columns/api-service.ts';
import type { Strategy } from '../contract.ts';
import { dropStatus, keepField, statusStrategy } from '../strategy-parts.ts';

type APIService = apiregistrationv1.APIService;

const DEFAULT_PORT = 443;
const STATUSES = ['True', 'False', 'Unknown'];

/** kube-aggregator/pkg/apis/apiregistration/validation. Upstream's words for the bounds are off by one, as here. */
function validate({ metadata, spec }: APIService): FieldError[] {
  const { group = '', version = '', service, caBundle = '', insecureSkipTLSVerify = false } = spec;
  const errors: FieldError[] = [];
  const name = `${version}.${group}`;
  if (metadata.name !== name && isPathSegmentName(metadata.name).length === 0)
    errors.push(
      invalidValue(
        'metadata.name',
        metadata.name,
        `must be \`spec.version+"."+spec.group\`: ${goQuote(name)}`,
      ),
    );
  if (group === '' && version !== 'v1')
    errors.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'));
  if (group !== '')
    for (const problem of isDNS1123Subdomain(group)) errors.push(invalidValue('spec.group', group, problem));
  for (const problem of isDNS1035Label(version)) errors.push(invalidValue('spec.version', version, problem));
  const { groupPriorityMinimum = 0, versionPriority = 0 } = spec as Partial<typeof spec>;
  if (groupPriorityMinimum <= 0 || groupPriorityMinimum > 20_000)
    errors.push(
      invalidValue('spec.groupPriorityMinimum', groupPriorityMinimum, 'must be positive and less than 20000'),
    );
  if (versionPriority <= 0 || versionPriority > 1_000)
    errors.push(invalidValue('spec.versionPriority', versionPriority, 'must be positive and less than 1000'));

  if (service === undefined) {
    if (caBundle !== '') {
      const bytes = `${Buffer.from(caBundle, 'base64').length} bytes`;
      errors.push(invalidValue('spec.caBundle', bytes, 'local APIServices may not have a caBundle'));
    }
    if (insecureSkipTLSVerify)
      errors.push(
        invalidValue(
          'spec.insecureSkipTLSVerify',
          true,
          'local APIServices may not have insecureSkipTLSVerify',
        ),
      );
    return errors;
  }
  if (!service.namespace) errors.push(required('spec.service.namespace', ''));
  if (!service.name) errors.push(required('spec.service.name', ''));
  const port = service.port ?? DEFAULT_PORT;
  const problems = isValidPortNum(port);
  if (problems.length > 0)
    errors.push(invalidValue('spec.service.port', port, `port is not valid: ${problems.join(', ')}`));
  if (insecureSkipTLSVerify && caBundle !== '')
    errors.push(invalidValue('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present'));
  return errors;
}

function validateStatus({ status }: APIService): FieldError[] {
  return (status?.conditions ?? []).flatMap((condition, at) =>
    STATUSES.includes(condition.status)
      ? []
      : [notSupported(`status.conditions[${at}].status`, condition.status, STATUSES)],
  );
}

/** kube-aggregator/pkg/registry/apiservice. */
export const apiServiceStrategy: Strategy<APIService> = {
  type: apiregistrationv1.apiServices,
  allowUnconditionalUpdate: false,
  setDefaults({ spec }: Draft<APIService>) {
    if (spec?.service !== undefined) spec.service.port ??= DEFAULT_PORT;
  },
  prepareForCreate(object, { clock }) {
    dropStatus(object);
    if (object.spec.service === undefined)
      object.status = withCondition(object.status, LOCALLY_AVAILABLE, formatTime(clock.now())) as Draft<
        NonNullable<APIService['status']>
      >;
  },
  prepareForUpdate: (object, old) => keepField(object, old, 'status'),
  validateName: nameIsPathSegment,
  validate,
  validateUpdate: validate,
  subresources: { status: statusStrategy({ keepMetadata: true, validateUpdate: validateStatus }) },
  columns: apiServiceColumns,
};
