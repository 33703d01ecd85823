/** From a Service to where it can be reached (k8s.io/apiserver/pkg/util/proxy). */
import { corev1, discoveryv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import type { Random } from '@k8ts/base';
import type { ObjectReader } from '../object-reader.ts';

interface Location {
  readonly host: string;
  readonly port: number;
}

/** Throws an Error in upstream's words where there is nothing to be reached. */
export type ServiceResolver = (namespace: string, name: string, port: number) => Location;

/** By the Service's cluster IP, or by the name that it stands for. */
export function clusterIpResolver(objects: ObjectReader): ServiceResolver {
  return (namespace, name, port) => {
    const { type, clusterIP = '', externalName = '', ...spec } = serviceOf(objects, namespace, name).spec;
    if (type === 'ExternalName') return { host: externalName, port };
    checkType(type);
    if (type === 'ClusterIP' && clusterIP === 'None')
      throw new Error('cannot route to service with ClusterIP "None"');
    servicePort(spec.ports, name, port);
    return { host: clusterIP, port };
  };
}

/** By one of the Service's ready endpoints (`--enable-aggregator-routing`). */
export function endpointResolver(objects: ObjectReader, random: Random): ServiceResolver {
  return (namespace, name, port) => {
    const { type, ports, ipFamilies = [] } = serviceOf(objects, namespace, name).spec;
    checkType(type);
    if (type === 'ExternalName') throw new Error(`unsupported service type ${goQuote(type)}`);
    const portName = servicePort(ports, name, port).name ?? '';
    const [preferred] = ipFamilies;
    const slices = endpointSlicesOf(objects, namespace, name);
    for (const isPreferred of [true, false]) {
      const found: Location[] = [];
      for (const slice of slices) {
        if ((preferred === undefined || slice.addressType === preferred) !== isPreferred) continue;
        const slicePort = (slice.ports ?? []).find(
          (each) => each.name === portName && each.port !== undefined,
        )?.port;
        if (slicePort === undefined) continue;
        for (const { addresses, conditions } of slice.endpoints ?? []) {
          const [host] = addresses;
          if (conditions?.ready !== false && host !== undefined) found.push({ host, port: slicePort });
        }
      }
      const chosen = found[Math.floor(random() * found.length)];
      if (chosen !== undefined) return chosen;
    }
    throw new Error(`no endpoints available for service ${goQuote(name)}`);
  };
}

/** The Service `default/kubernetes` is this server itself, once its port is open. */
export function loopbackResolver(
  delegate: ServiceResolver,
  own: () => Location | undefined,
): ServiceResolver {
  return (namespace, name, port) => {
    const self = namespace === 'default' && name === 'kubernetes' && port === 443 ? own() : undefined;
    return self ?? delegate(namespace, name, port);
  };
}

export function endpointSlicesOf(
  objects: ObjectReader,
  namespace: string,
  service: string,
): discoveryv1.EndpointSlice[] {
  return objects
    .list(discoveryv1.endpointSlices, namespace)
    .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service);
}

function serviceOf(objects: ObjectReader, namespace: string, name: string): corev1.Service {
  const service = objects.get(corev1.services, namespace, name);
  if (service === undefined) throw new Error(`service ${goQuote(name)} not found`);
  return service;
}

function checkType(type = ''): void {
  if (!['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'].includes(type))
    throw new Error(`unsupported service type ${goQuote(type)}`);
}

function servicePort(
  ports: readonly corev1.ServicePort[] | undefined,
  name: string,
  port: number,
): corev1.ServicePort {
  const found = (ports ?? []).find((each) => each.port === port);
  if (found === undefined) throw new Error(`no service port ${port} found for service ${goQuote(name)}`);
  return found;
}
