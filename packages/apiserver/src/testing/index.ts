export { createTestServer, deepFreeze } from './test-server.ts';
export type { TestServer } from './test-server.ts';
export { ADMIN } from './identities.ts';
export { testAuthority, testCertificate } from './certificates.ts';
export type { TestCertificate } from './certificates.ts';
export { oidcKey, startOidcProvider } from './oidc-provider.ts';
