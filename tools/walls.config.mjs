/**
 * Who may import whom. This one object feeds the check (tools/check-walls.mjs) and the diagram in ARCHITECTURE.md
 * (tools/check-walls.mjs --diagram).
 */
const core = ['base', 'api', 'apimachinery'];

/** @type {Record<string, string[]>} package → packages that it may import */
export const walls = {
  base: [],
  api: [],
  apimachinery: ['base', 'api'],
  store: ['base'],
  client: core,
  apiserver: [...core, 'store', 'client'],
  controllers: [...core, 'client'],
  scheduler: [...core, 'client'],
  network: [...core, 'cri', 'client'],
  cli: [...core, 'client'],
  cri: ['base'],
  kubelet: [...core, 'cri', 'client'],
  cluster: [
    ...core,
    'store',
    'client',
    'apiserver',
    'controllers',
    'scheduler',
    'network',
    'cli',
    'cri',
    'kubelet',
  ],
};
