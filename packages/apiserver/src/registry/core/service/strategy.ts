/** Services. One strategy per cluster: it holds the ledger of cluster IPs and node ports. */
import { corev1 } from '@k8ts/api';
import { nameIsDNSLabel } from '@k8ts/apimachinery';
import { serviceColumns } from '../../../printing/columns/core.ts';
import type { Strategy } from '../../contract.ts';
import { ipWarnings } from '../../ip-addresses.ts';
import { keepField, statusStrategy } from '../../strategy-parts.ts';
import { ServiceAllocator, type ServiceNetwork } from './allocation.ts';
import { setServiceDefaults } from './defaults.ts';
import { dropTypeDependentFields } from './fields.ts';
import { validateLoadBalancerStatus, validateService, validateServiceUpdate } from './validation.ts';
import { serviceWarnings } from './warnings.ts';

type Service = corev1.Service;

/** Throws an Error for ranges that cannot be used. */
export function serviceStrategy(network: ServiceNetwork): Strategy<Service> {
  const allocator = new ServiceAllocator(network);
  return {
    type: corev1.services,
    validateName: nameIsDNSLabel,
    allowCreateOnUpdate: true,
    setDefaults: setServiceDefaults,
    prepareForCreate(service) {
      service.status = { loadBalancer: {} };
    },
    prepareForUpdate(service, old) {
      keepField(service, old, 'status');
      dropTypeDependentFields(service, old);
    },
    validate: (service) => validateService(service),
    validateUpdate: validateServiceUpdate,
    warnings: serviceWarnings,
    subresources: {
      status: {
        ...statusStrategy<Service>(),
        validateUpdate: (service, old) =>
          validateLoadBalancerStatus(service.status?.loadBalancer, old.status?.loadBalancer, service.spec),
        warnings: ({ status }) =>
          (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }, i) =>
            ip ? ipWarnings(ip, `status.loadBalancer.ingress[${i}]`) : [],
          ),
      },
    },
    allocate: (service, old, context) => allocator.allocate(service, old, context),
    released: (service, context) => allocator.release(service, context),
    selectableFields: ({ spec }) => ({
      'spec.clusterIP': spec?.clusterIP ?? '',
      'spec.type': spec?.type ?? '',
    }),
    columns: serviceColumns,
  };
}
