import type { rbacv1 } from '@k8ts/api';

/**
 * The roles and bindings that every cluster starts with (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
 * The controllers' own roles come from the controllers; see `controllerPolicy`.
 *
 * A rule is written `verbs | groups | resources [| names]`, or `verbs | urls` when the second part starts with `/`.
 * The core group is written `core`.
 */
const READ = 'get list watch';
const WRITE = 'create delete deletecollection patch update';
const READ_WRITE = 'create delete deletecollection get list patch update watch';
const EVENTS = 'create patch update | core events.k8s.io | events';
const REVIEWS = [
  'create | authentication.k8s.io | tokenreviews',
  'create | authorization.k8s.io | subjectaccessreviews',
];
const CSRS = 'certificates.k8s.io | certificatesigningrequests';

/** What a kubelet needs; the Node authorizer narrows it to the node's own things. */
export const nodeRules: readonly string[] = [
  'create | authentication.k8s.io | tokenreviews',
  'create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews',
  `${READ} | core | services`,
  'create get list watch | core | nodes',
  'patch update | core | nodes/status',
  'patch update | core | nodes',
  'create patch update | core events.k8s.io | events',
  `${READ} | core | pods`,
  'create delete | core | pods',
  'patch update | core | pods/status',
  'create | core | pods/eviction',
  `${READ} | core | configmaps secrets`,
  'get | core | persistentvolumeclaims persistentvolumes',
  'get | core | endpoints',
  `create get list watch | ${CSRS}`,
  'create delete get patch update | coordination.k8s.io | leases',
  'get | storage.k8s.io | volumeattachments',
  'get patch update | core | persistentvolumeclaims/status',
  'create | core | serviceaccounts/token',
  `${READ} | storage.k8s.io | csidrivers`,
  'create delete get patch update | storage.k8s.io | csinodes',
  `${READ} | node.k8s.io | runtimeclasses`,
  'get | resource.k8s.io | resourceclaims',
  'create delete deletecollection get list patch update watch | resource.k8s.io | resourceslices',
  `${READ} | certificates.k8s.io | clustertrustbundles`,
  'get | core | serviceaccounts',
];

const clusterRoleRules: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': ['* | * | *', '* | /*'],
  'system:discovery': [
    'get | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/',
  ],
  'system:monitoring': ['get | /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*'],
  'system:basic-user': [
    'create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews',
    'create | authentication.k8s.io | selfsubjectreviews',
  ],
  'system:public-info-viewer': ['get | /healthz /livez /readyz /version /version/'],
  'system:aggregate-to-admin': [
    'create | authorization.k8s.io | localsubjectaccessreviews',
    `${READ_WRITE} | rbac.authorization.k8s.io | rolebindings roles`,
  ],
  'system:aggregate-to-edit': [
    `${READ} | core | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy`,
    'impersonate | core | serviceaccounts',
    `${WRITE} | core | pods pods/attach pods/exec pods/portforward pods/proxy`,
    'create | core | pods/eviction',
    `${WRITE} | core | configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy`,
    'create | core | serviceaccounts/token',
    `${WRITE} | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale`,
    `${WRITE} | autoscaling | horizontalpodautoscalers`,
    `${WRITE} | batch | cronjobs jobs`,
    `${WRITE} | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale`,
    `${WRITE} | policy | poddisruptionbudgets`,
    `${WRITE} | networking.k8s.io | ingresses networkpolicies`,
    `${WRITE} get list watch | coordination.k8s.io | leases`,
    `${WRITE} | resource.k8s.io | resourceclaims resourceclaimtemplates`,
  ],
  'system:aggregate-to-view': [
    `${READ} | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status`,
    `${READ} | core | bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status`,
    `${READ} | core | namespaces`,
    `${READ} | discovery.k8s.io | endpointslices`,
    `${READ} | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status`,
    `${READ} | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status`,
    `${READ} | batch | cronjobs cronjobs/status jobs jobs/status`,
    `${READ} | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale`,
    `${READ} | policy | poddisruptionbudgets poddisruptionbudgets/status`,
    `${READ} | networking.k8s.io | ingresses ingresses/status networkpolicies`,
    `${READ} | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates`,
  ],
  'system:node': nodeRules,
  'system:node-problem-detector': ['get | core | nodes', 'patch | core | nodes/status', EVENTS],
  'system:kubelet-api-admin': [
    `${READ} | core | nodes`,
    'proxy | core | nodes',
    '* | core | nodes/log nodes/metrics nodes/proxy nodes/stats',
    '* | core | nodes/configz nodes/healthz nodes/pods',
  ],
  'system:node-bootstrapper': [`create get list watch | ${CSRS}`],
  'system:auth-delegator': REVIEWS,
  'system:kube-aggregator': [
    `${READ} | core | endpoints services`,
    `${READ} | discovery.k8s.io | endpointslices`,
  ],
  'system:kube-controller-manager': [
    EVENTS,
    'create | coordination.k8s.io | leases',
    'get update | coordination.k8s.io | leases | kube-controller-manager',
    'create | core | secrets serviceaccounts',
    'delete | core | secrets',
    'get | core | configmaps namespaces secrets serviceaccounts',
    'update | core | secrets serviceaccounts',
    ...REVIEWS,
    'list watch | * | *',
    'create | core | serviceaccounts/token',
  ],
  'system:kube-dns': [
    'list watch | core | endpoints services',
    'list watch | discovery.k8s.io | endpointslices',
  ],
  'system:persistent-volume-provisioner': [
    'create delete get list watch | core | persistentvolumes',
    'get list update watch | core | persistentvolumeclaims',
    `${READ} | storage.k8s.io | storageclasses`,
    'watch | core | events',
    EVENTS,
  ],
  'system:certificates.k8s.io:certificatesigningrequests:nodeclient': [
    'create | certificates.k8s.io | certificatesigningrequests/nodeclient',
  ],
  'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient': [
    'create | certificates.k8s.io | certificatesigningrequests/selfnodeclient',
  ],
  'system:volume-scheduler': [
    'get list patch update watch | core | persistentvolumes',
    `${READ} | storage.k8s.io | storageclasses`,
    'get list patch update watch | core | persistentvolumeclaims',
  ],
  'system:certificates.k8s.io:legacy-unknown-approver': [
    'approve | certificates.k8s.io | signers | kubernetes.io/legacy-unknown',
  ],
  'system:certificates.k8s.io:kubelet-serving-approver': [
    'approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving',
  ],
  'system:certificates.k8s.io:kube-apiserver-client-approver': [
    'approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client',
  ],
  'system:certificates.k8s.io:kube-apiserver-client-kubelet-approver': [
    'approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet',
  ],
  'system:service-account-issuer-discovery': [
    'get | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/',
  ],
  'system:node-proxier': [
    'list watch | core | endpoints services',
    `${READ} | core | nodes`,
    EVENTS,
    'list watch | discovery.k8s.io | endpointslices',
    'list watch | networking.k8s.io | servicecidrs',
  ],
  'system:kube-scheduler': [
    EVENTS,
    'create | coordination.k8s.io | leases',
    'get list update watch | coordination.k8s.io | leases | kube-scheduler',
    `${READ_WRITE} | coordination.k8s.io | leasecandidates`,
    `${READ} | core | nodes`,
    'delete get list watch | core | pods',
    'create | core | bindings pods/binding',
    'patch update | core | pods/status',
    `${READ} | core | replicationcontrollers services`,
    `${READ} | apps extensions | replicasets`,
    `${READ} | apps | statefulsets`,
    `${READ} | policy | poddisruptionbudgets`,
    `${READ} | core | persistentvolumeclaims persistentvolumes`,
    ...REVIEWS,
    `${READ} | storage.k8s.io | csinodes`,
    `${READ} | core | namespaces`,
    `${READ} | storage.k8s.io | csidrivers csistoragecapacities volumeattachments`,
    `${READ} | resource.k8s.io | deviceclasses resourceslices`,
    'create delete get list patch update watch | resource.k8s.io | resourceclaims',
    'get list patch update watch | resource.k8s.io | resourceclaims/status',
    'patch update | resource.k8s.io | resourceclaims/binding',
    'update | core | pods/finalizers',
  ],
};

/** Roles that gather the rules of others by label; the aggregation controller fills in the rules. */
const aggregates: Readonly<
  Record<string, { readonly label: string; readonly labels?: Record<string, string> }>
> = {
  admin: { label: 'aggregate-to-admin' },
  edit: { label: 'aggregate-to-edit', labels: aggregatedTo('admin') },
  view: { label: 'aggregate-to-view', labels: aggregatedTo('edit') },
};

const roleLabels: Readonly<Record<string, Record<string, string>>> = {
  'system:aggregate-to-admin': aggregatedTo('admin'),
  'system:aggregate-to-edit': aggregatedTo('edit'),
  'system:aggregate-to-view': aggregatedTo('view'),
};

const clusterBindings: readonly (readonly [role: string, ...subjects: string[]])[] = [
  ['cluster-admin', 'group system:masters'],
  ['system:monitoring', 'group system:monitoring'],
  ['system:discovery', 'group system:authenticated'],
  ['system:basic-user', 'group system:authenticated'],
  ['system:public-info-viewer', 'group system:authenticated', 'group system:unauthenticated'],
  ['system:node-proxier', 'user system:kube-proxy'],
  ['system:kube-controller-manager', 'user system:kube-controller-manager'],
  ['system:kube-dns', 'account kube-system/kube-dns'],
  ['system:kube-scheduler', 'user system:kube-scheduler'],
  ['system:volume-scheduler', 'user system:kube-scheduler'],
  // Nodes are authorized by the Node authorizer; the binding stays, with nobody in it.
  ['system:node'],
  ['system:service-account-issuer-discovery', 'group system:serviceaccounts'],
];

const LEADER_RULES = (name: string): string[] => [
  'watch | core | configmaps',
  `get update | core | configmaps | ${name}`,
];

/** namespace → role → rules. */
const namespaceRoleRules: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'kube-system': {
    'extension-apiserver-authentication-reader': [
      `${READ} | core | configmaps | extension-apiserver-authentication`,
    ],
    'system:controller:bootstrap-signer': [`${READ} | core | secrets`],
    'system:controller:cloud-provider': ['create get list watch | core | configmaps'],
    'system:controller:token-cleaner': ['delete get list watch | core | secrets', EVENTS],
    'system::leader-locking-kube-controller-manager': LEADER_RULES('kube-controller-manager'),
    'system::leader-locking-kube-scheduler': LEADER_RULES('kube-scheduler'),
  },
  'kube-public': {
    'system:controller:bootstrap-signer': [
      `${READ} | core | configmaps`,
      'update | core | configmaps | cluster-info',
      EVENTS,
    ],
  },
};

const namespaceBindings: readonly (readonly [
  namespace: string,
  name: string,
  role: string,
  ...subjects: string[],
])[] = [
  [
    'kube-system',
    'system::extension-apiserver-authentication-reader',
    'extension-apiserver-authentication-reader',
    'user system:kube-controller-manager',
    'user system:kube-scheduler',
  ],
  [
    'kube-system',
    'system::leader-locking-kube-controller-manager',
    'system::leader-locking-kube-controller-manager',
    'user system:kube-controller-manager',
    'account kube-system/kube-controller-manager',
  ],
  [
    'kube-system',
    'system::leader-locking-kube-scheduler',
    'system::leader-locking-kube-scheduler',
    'user system:kube-scheduler',
    'account kube-system/kube-scheduler',
  ],
  ...(['bootstrap-signer', 'cloud-provider', 'token-cleaner'] as const).map(
    (name) =>
      [
        'kube-system',
        `system:controller:${name}`,
        `system:controller:${name}`,
        `account kube-system/${name}`,
      ] as const,
  ),
  [
    'kube-public',
    'system:controller:bootstrap-signer',
    'system:controller:bootstrap-signer',
    'account kube-system/bootstrap-signer',
  ],
];

export interface Policy {
  readonly clusterRoles: readonly rbacv1.ClusterRole[];
  readonly clusterRoleBindings: readonly rbacv1.ClusterRoleBinding[];
  readonly roles: readonly rbacv1.Role[];
  readonly roleBindings: readonly rbacv1.RoleBinding[];
}

export function bootstrapPolicy(): Policy {
  return {
    clusterRoles: [
      ...Object.entries(aggregates).map(([name, { label, labels }]) => ({
        metadata: defaultMetadata(name, labels),
        aggregationRule: {
          clusterRoleSelectors: [{ matchLabels: { [`rbac.authorization.k8s.io/${label}`]: 'true' } }],
        },
        rules: [],
      })),
      ...Object.entries(clusterRoleRules).map(([name, rules]) => ({
        metadata: defaultMetadata(name, roleLabels[name]),
        rules: rules.map(parseRule),
      })),
    ],
    clusterRoleBindings: clusterBindings.map(([role, ...subjects]) => clusterBinding(role, role, subjects)),
    roles: Object.entries(namespaceRoleRules).flatMap(([namespace, roles]) =>
      Object.entries(roles).map(([name, rules]) => ({
        metadata: { ...defaultMetadata(name), namespace },
        rules: rules.map(parseRule),
      })),
    ),
    roleBindings: namespaceBindings.map(([namespace, name, role, ...subjects]) => ({
      metadata: { ...defaultMetadata(name), namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
      subjects: subjects.map(parseSubject),
    })),
  };
}

/** One controller's permissions: role and binding `system:controller:<name>` for the account of that name. */
export function controllerPolicy(
  controllers: readonly { readonly name: string; readonly rules: readonly rbacv1.PolicyRule[] }[],
): Policy {
  return {
    clusterRoles: controllers.map(({ name, rules }) => ({
      metadata: defaultMetadata(`system:controller:${name}`),
      rules,
    })),
    clusterRoleBindings: controllers.map(({ name }) =>
      clusterBinding(`system:controller:${name}`, `system:controller:${name}`, [
        `account kube-system/${name}`,
      ]),
    ),
    roles: [],
    roleBindings: [],
  };
}

function clusterBinding(name: string, role: string, subjects: readonly string[]): rbacv1.ClusterRoleBinding {
  return {
    metadata: defaultMetadata(name),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    ...(subjects.length === 0 ? {} : { subjects: subjects.map(parseSubject) }),
  };
}

function aggregatedTo(role: string): Record<string, string> {
  return { [`rbac.authorization.k8s.io/aggregate-to-${role}`]: 'true' };
}

function defaultMetadata(name: string, labels: Record<string, string> = {}): rbacv1.ClusterRole['metadata'] {
  return {
    name,
    annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
  };
}

/** See the notation at the top of the file. */
export function parseRule(text: string): rbacv1.PolicyRule {
  const [verbs, second, resources, names] = text.split('|').map((part) => part.trim().split(' '));
  if (verbs === undefined || second === undefined) throw new Error(`not a rule: ${text}`);
  if (resources === undefined) {
    const urls = second.map((url) => (url === '/*' ? '*' : url));
    return { verbs, nonResourceURLs: urls };
  }
  return {
    verbs,
    apiGroups: second.map((group) => (group === 'core' ? '' : group)),
    resources,
    ...(names === undefined ? {} : { resourceNames: names }),
  };
}

/** `user NAME`, `group NAME` or `account NAMESPACE/NAME`. */
function parseSubject(text: string): rbacv1.Subject {
  const [kind, name = ''] = text.split(' ') as [string, string];
  if (kind === 'account') {
    const [namespace = '', account = ''] = name.split('/');
    return { kind: 'ServiceAccount', namespace, name: account };
  }
  return { kind: kind === 'user' ? 'User' : 'Group', apiGroup: 'rbac.authorization.k8s.io', name };
}
