/** The addresses of a cluster on one machine; kubeadm's usual ones. */
export const POD_CIDR = '10.244.0.0/24';
export const CLUSTER_CIDR = '10.244.0.0/16';
/** First address of the service range: the Service default/kubernetes. */
export const KUBERNETES_SERVICE_IP = '10.96.0.1';
export const CLUSTER_DNS_IP = '10.96.0.10';
export const CLUSTER_DOMAIN = 'cluster.local';
export const BRIDGE = 'k8ts0';
export const SERVICE_CIDR = '10.96.0.0/12';
/** On the node's bridge addresses; pods know it as port 53 of the DNS Service. */
export const DNS_PORT = 10053;
