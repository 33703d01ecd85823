// Installs what the tests need of the machine besides what running containers needs: real peers to test against.
import { spawnSync } from 'node:child_process';
import { ensureHostPackages } from './host-packages.mjs';

const TEST_PACKAGES = [
  'etcd-server', // the store's third driver
  'busybox-static', // test images
  'dnsutils', // dig
  'curl',
  'openssl',
  'wrk', // load for the benchmarks
  'procps',
  'util-linux',
  'bsdutils', // script, for terminals
  'ca-certificates',
];

const run = (...args) =>
  spawnSync('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });

ensureHostPackages({ install: true });
const install = () => run('install', '-y', '-qq', '--no-install-recommends', ...TEST_PACKAGES).status;
if (install() !== 0 && (run('update', '-qq').status !== 0 || install() !== 0)) {
  console.error(`apt-get could not install ${TEST_PACKAGES.join(' ')}`);
  process.exit(1);
}
console.log(`present: ${TEST_PACKAGES.join(' ')}`);
