export { createApiServer } from './server.ts';
export type { ApiServer } from './server.ts';
export type { ApiServerOptions } from './server-options.ts';
export type { TlsOptions } from './http/http-server.ts';
export type { HealthCheck } from './health/health.ts';
export type { PostStartContext, PostStartHook } from './post-start/contract.ts';
export type {
  DeleteAccessOptions,
  RegistryAccess,
  SpecialHandler,
  SpecialRequest,
  UpdateAccessOptions,
} from './registry/special-subresources.ts';
export type * from './registry/contract.ts';
export type * from './authentication/contract.ts';
export type * from './authorization/contract.ts';
export type { AuthenticationOptions } from './authentication/configuration/options.ts';
export type { AuthorizationOptions } from './authorization/configuration/configuration.ts';
export type * from './admission/contract.ts';
export { AdmissionPluginError } from './admission/plugin-selection.ts';
export type { AdmissionPluginSelection } from './admission/plugin-selection.ts';
export { AuditOptionsError } from './audit/audit-options.ts';
export { ConfigurationError } from './configuration/decode-configuration.ts';
export type { AuditLogOptions, AuditMode, AuditOptions, AuditWebhookOptions } from './audit/audit-options.ts';
export { APISERVER_USER } from './registry/registry-access.ts';
export { VERSION_INFO } from './version-info.ts';
export { createKubeApiServer } from './kube-apiserver.ts';
export type { KubeApiServer, KubeApiServerOptions } from './kube-apiserver.ts';
export { parseTokenFile, staticTokenAuthenticator } from './authentication/plugins/static-token.ts';
export type { RequestHeaderOptions } from './authentication/plugins/request-header.ts';
export { serviceAccountUserName, userInfo } from './authentication/well-known-users.ts';
export { networkKubelets, tcpBackend, tlsBackend } from './connect/dial.ts';
export type { Backend, KubeletConnection, KubeletTls } from './connect/dial.ts';
export type { PodNetwork } from './connect/proxies.ts';
