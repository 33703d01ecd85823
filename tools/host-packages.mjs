// Programs of the machine that running containers needs, with Debian's packages that bring them.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NEEDED = [
  { programs: ['crun', 'runc'], debianPackage: 'crun', purpose: 'runs containers' },
  { programs: ['conmon'], debianPackage: 'conmon', purpose: "keeps containers' logs and exit codes" },
  { programs: ['ip'], debianPackage: 'iproute2', purpose: 'makes pod networks' },
  { programs: ['nft'], debianPackage: 'nftables', purpose: 'makes Services reachable' },
  { programs: ['socat'], debianPackage: 'socat', purpose: 'forwards ports and attaches to containers' },
  {
    programs: ['conntrack'],
    debianPackage: 'conntrack',
    purpose: 'forgets UDP connections to pods that are gone',
  },
];

export function missingHostPackages() {
  return NEEDED.filter(({ programs }) => !programs.some(isInstalled));
}

/** Names what is missing before it installs it. Ends the process where it may not, or cannot. */
export function ensureHostPackages({ install }) {
  const missing = missingHostPackages();
  if (missing.length === 0) return;
  console.log('running containers needs these packages, which are not installed:');
  for (const { debianPackage, purpose } of missing) console.log(`  ${debianPackage.padEnd(12)} ${purpose}`);
  const names = missing.map(({ debianPackage }) => debianPackage);
  if (!install) {
    console.error(
      `not installed because of --no-install. Install them with: apt-get install ${names.join(' ')}`,
    );
    process.exit(1);
  }
  if (!isInstalled('apt-get')) {
    console.error('this machine has no apt-get; install what corresponds to them, and start again');
    process.exit(1);
  }
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  const aptInstall = () =>
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], options).status;
  // The package lists may be missing or old.
  if (
    aptInstall() !== 0 &&
    (spawnSync('apt-get', ['update', '-qq'], options).status !== 0 || aptInstall() !== 0)
  ) {
    console.error(`apt-get could not install ${names.join(' ')}`);
    process.exit(1);
  }
  console.log(`installed: ${names.join(' ')}`);
}

function isInstalled(program) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];
  return directories.some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
