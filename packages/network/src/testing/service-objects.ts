import type { corev1, discoveryv1 } from '@k8ts/api';

/** A Service of one port (80, TCP), to be changed where a test needs it. */
export function testService(name: string, spec: Partial<corev1.ServiceSpec> = {}): corev1.Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.50',
      ports: [{ port: 80, protocol: 'TCP', targetPort: 8080 }],
      internalTrafficPolicy: 'Cluster',
      ...spec,
    },
  };
}

/** Addresses, or whole endpoints; ready unless they say otherwise. */
export function testSlice(
  service: string,
  endpoints: readonly (string | discoveryv1.Endpoint)[],
  ports: readonly discoveryv1.EndpointPort[] = [{ name: '', port: 8080, protocol: 'TCP' }],
  addressType = 'IPv4',
): discoveryv1.EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service}-${addressType.toLowerCase()}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType,
    endpoints: endpoints.map((endpoint) =>
      typeof endpoint === 'string' ? { addresses: [endpoint], conditions: { ready: true } } : endpoint,
    ),
    ports: [...ports],
  };
}
