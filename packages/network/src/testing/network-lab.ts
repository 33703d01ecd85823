import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Scope, runCommand, silentLogger } from '@k8ts/base';
import type { PodNetworkRequest, PortMapping } from '@k8ts/cri';

import { createBridgeNetwork } from '../bridge/bridge-network.ts';
import type { BridgeNetwork, BridgeNetworkOptions } from '../bridge/bridge-network.ts';

/** Answers each TCP connection and each UDP packet with its name and who asked; arguments: name, address, ports. */
const SERVER = `
const [name, host, ...ports] = process.argv.slice(1);
const family = host.includes(':') ? 'udp6' : 'udp4';
const plain = (address) => address.replace(/^::ffff:/, '');
let open = 0;
const opened = () => { if (++open === 2 * ports.length) console.log('ready'); };
for (const port of ports.map(Number)) {
  require('net').createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(name + ' ' + plain(socket.remoteAddress));
  }).listen(port, host, opened);
  const udp = require('dgram').createSocket(family);
  udp.on('message', (_message, from) => udp.send(name + ' ' + plain(from.address), from.port, from.address));
  udp.bind(port, host, opened);
}
`;

/** Asks once and prints the answer, or the error's code; arguments: protocol, address, port, own port (0: any). */
const CLIENT = `
const [protocol, host, port, from] = process.argv.slice(1);
const done = (answer) => { console.log(answer); process.exit(0); };
setTimeout(() => done('TIMEOUT'), 2000);
if (protocol === 'tcp') {
  const socket = require('net').connect({ host, port: Number(port) });
  socket.on('data', (data) => done(data.toString()));
  socket.on('error', (error) => done(error.code));
} else {
  const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (data) => done(data.toString()));
  socket.on('error', (error) => done(error.code));
  socket.bind(Number(from), () => socket.connect(Number(port), host, (error) => error ? done(error.code) : socket.send('?')));
}
`;

export type LabProtocol = 'tcp' | 'udp';

/** A network namespace with programs in it. */
export interface LabHost {
  readonly name: string;
  readonly ip: string;
  /** Starts a server of both protocols; resolves when it listens. */
  serve(...ports: number[]): Promise<void>;
  /** `<server's name> <asker's address>`, or an error code such as `ECONNREFUSED`, or `TIMEOUT` after 2 s. */
  ask(protocol: LabProtocol, host: string, port: number, from?: number): Promise<string>;
  /** Runs a program there and gives its output. */
  run(program: string, ...args: string[]): Promise<string>;
}

export interface LabPod extends LabHost {
  readonly ips: readonly string[];
  readonly request: PodNetworkRequest;
  /** Stops its programs and takes its network and namespace away. */
  remove(): Promise<void>;
}

/**
 * A machine to try networks on, made in the network namespace that the test runs in: `192.0.2.1` is its address on the wire,
 * at whose other end is a stranger, `192.0.2.2`. Only for tests in isolation.
 */
export class NetworkLab implements AsyncDisposable {
  static readonly nodeIp = '192.0.2.1';
  readonly stateDir: string;
  readonly #directory: string;
  readonly #scope = new Scope();
  network!: BridgeNetwork;
  /** The machine itself. */
  readonly node: LabHost;
  stranger!: LabHost;

  private constructor(directory: string) {
    this.#directory = directory;
    this.stateDir = join(directory, 'network');
    this.node = this.#host('node', NetworkLab.nodeIp, undefined, this.#scope);
  }

  static async open(options: Partial<BridgeNetworkOptions> = {}): Promise<NetworkLab> {
    const lab = new NetworkLab(await mkdtemp(join(tmpdir(), 'k8ts-network-')));
    lab.#scope.defer(() => rm(lab.#directory, { recursive: true, force: true }));
    const netns = await lab.#namespace('stranger', lab.#scope);
    await runCommand('ip', ['-batch', '-'], {
      input: [
        `link add name wire0 up type veth peer name eth0 netns ${netns}`,
        `addr add ${NetworkLab.nodeIp}/24 dev wire0`,
        'addr add 2001:db8::1/64 dev wire0 nodad',
      ].join('\n'),
    });
    lab.#scope.defer(async () => void (await runCommand('ip', ['link', 'del', 'wire0']).catch(() => '')));
    lab.stranger = lab.#host('stranger', '192.0.2.2', netns, lab.#scope);
    for (const command of [
      'link set eth0 up',
      'addr add 192.0.2.2/24 dev eth0',
      'addr add 2001:db8::2/64 dev eth0 nodad',
    ]) {
      await lab.stranger.run('ip', ...command.split(' '));
    }
    lab.network = await lab.openNetwork(options);
    lab.#scope.defer(() => lab.network.destroy());
    return lab;
  }

  /** The network as after a restart of the program. */
  openNetwork(options: Partial<BridgeNetworkOptions> = {}): Promise<BridgeNetwork> {
    return createBridgeNetwork({
      podCidrs: ['10.244.0.0/24'],
      clusterCidrs: ['10.244.0.0/16'],
      serviceCidrs: ['10.96.0.0/12'],
      stateDir: this.stateDir,
      logger: silentLogger,
      ...options,
    });
  }

  async pod(name: string, portMappings: readonly PortMapping[] = []): Promise<LabPod> {
    const scope = new Scope();
    const netns = await this.#namespace(name, scope);
    const request: PodNetworkRequest = {
      sandboxId: `sandbox-${name}`,
      netns,
      namespace: 'default',
      name,
      uid: `uid-${name}`,
      portMappings,
    };
    try {
      const { ips } = await this.network.setUp(request);
      scope.defer(() => this.network.tearDown(request));
      const remove = (): Promise<void> => scope[Symbol.asyncDispose]();
      this.#scope.defer(remove);
      return { ...this.#host(name, ips[0] ?? '', netns, scope), ips, request, remove };
    } catch (error) {
      await scope[Symbol.asyncDispose]();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  async #namespace(name: string, scope: Scope): Promise<string> {
    const path = join(this.#directory, `${name}.netns`);
    await writeFile(path, '');
    await runCommand('unshare', [`--net=${path}`, 'ip', 'link', 'set', 'lo', 'up']);
    scope.defer(async () => {
      await runCommand('umount', [path]);
      await rm(path);
    });
    return path;
  }

  #host(name: string, ip: string, netns: string | undefined, scope: Scope): LabHost {
    const inside = (program: string, args: readonly string[]): [string, string[]] =>
      netns === undefined ? [program, [...args]] : ['nsenter', [`--net=${netns}`, program, ...args]];
    const run = (program: string, ...args: string[]): Promise<string> => runCommand(...inside(program, args));
    return {
      name,
      ip,
      run,
      ask: async (protocol, host, port, from = 0) =>
        (await run(process.execPath, '-e', CLIENT, protocol, host, `${port}`, `${from}`)).trim(),
      serve: async (...ports) => {
        const args = ['-e', SERVER, name, '::', ...ports.map(String)];
        const child = spawn(...inside(process.execPath, args), { stdio: ['ignore', 'pipe', 'inherit'] });
        scope.defer(() => stop(child));
        await new Promise<void>((resolve, reject) => {
          child.stdout?.once('data', () => resolve());
          child.once('exit', (code) => reject(new Error(`the server of ${name} ended with ${code}`)));
        });
      },
    };
  }
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}
