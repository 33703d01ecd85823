// `npm run up`: everything that a cluster needs on this machine, then `k8ts up` with the arguments given.
//   npm run up -- [--no-install] [arguments of k8ts up]
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { ensureDependencies } from './setup.mjs';
import { ensureHostPackages } from './host-packages.mjs';

const args = process.argv.slice(2);
const install = !args.includes('--no-install');
const rest = args.filter((arg) => arg !== '--no-install');

ensureDependencies();
const { ensureBuilt } = await import('./build.mjs');
await ensureBuilt();
const simulated = rest.includes('--no-node') || rest.join(' ').includes('--runtime simulated');
if (!simulated && process.platform === 'linux' && process.getuid() === 0) ensureHostPackages({ install });

const child = spawn(process.execPath, ['bin/k8ts.mjs', 'up', ...rest], { stdio: 'inherit' });
// The terminal sends Ctrl-C to both; what is sent to this process alone is passed on.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
process.on('SIGINT', () => undefined);
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
