import { corev1 } from '@k8ts/api';
import { isAlreadyExists, isNotFound } from '@k8ts/apimachinery';

import type { ControllerDefinition } from './contract.ts';
import { isNamespaceTerminating } from './namespace-terminating.ts';
import { eventsRule, rule } from './permissions.ts';

const NAME = 'kube-root-ca.crt';
const KEY = 'ca.crt';
const DESCRIPTION_ANNOTATION = 'kubernetes.io/description';
const DESCRIPTION =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. ' +
  'No other usage is guaranteed across distributions of Kubernetes clusters.';

/** Every namespace has the authority that vouches for the API server, for pods to mount beside their token. */
export const rootCAPublisherController: ControllerDefinition = {
  name: 'root-ca-certificate-publisher-controller',
  account: 'root-ca-cert-publisher',
  permissions: [rule(['create', 'update'], [''], ['configmaps']), eventsRule],
  queue: 'root_ca_cert_publisher',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'root-ca-cert-publisher',
  create: ({ client, informers, queue, options }) => {
    const { rootCA } = options;
    if (rootCA === undefined) return { reconcile: () => Promise.resolve() };
    const namespaces = informers.of(corev1.namespaces);
    const configMaps = informers.of(corev1.configMaps, { fieldSelector: `metadata.name=${NAME}` });
    const enqueueNamespace = ({ metadata }: corev1.Namespace): void => queue.add(metadata.name);
    const enqueueConfigMap = ({ metadata }: corev1.ConfigMap): void => {
      if (metadata.name === NAME && metadata.namespace !== undefined) queue.add(metadata.namespace);
    };
    namespaces.addHandler({ added: enqueueNamespace, updated: enqueueNamespace });
    configMaps.addHandler({ updated: enqueueConfigMap, deleted: enqueueConfigMap });
    return {
      reconcile: async (namespace) => {
        const found = namespaces.lister.byKey(namespace);
        if (found === undefined || found.status?.phase === 'Terminating') return;
        const api = client.resource(corev1.configMaps, namespace);
        const data = { [KEY]: rootCA };
        const current = configMaps.lister.get(namespace, NAME);
        try {
          if (current === undefined) {
            const annotations = { [DESCRIPTION_ANNOTATION]: DESCRIPTION };
            await api.create({ metadata: { name: NAME, namespace, annotations }, data });
          } else if (!isPublished(current, rootCA)) {
            await api.update({
              ...current,
              metadata: {
                ...current.metadata,
                annotations: { ...current.metadata.annotations, [DESCRIPTION_ANNOTATION]: DESCRIPTION },
              },
              data,
            });
          }
        } catch (error) {
          if (!isAlreadyExists(error) && !isNamespaceTerminating(error) && !isNotFound(error)) throw error;
        }
      },
    };
  },
};

function isPublished({ metadata, data }: corev1.ConfigMap, rootCA: string): boolean {
  return (
    data !== undefined &&
    Object.keys(data).length === 1 &&
    data[KEY] === rootCA &&
    metadata.annotations?.[DESCRIPTION_ANNOTATION] === DESCRIPTION
  );
}
