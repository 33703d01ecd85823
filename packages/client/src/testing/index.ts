export { FakeApi } from './fake-api.ts';
export type { FakeResource, Interceptor } from './fake-api.ts';
