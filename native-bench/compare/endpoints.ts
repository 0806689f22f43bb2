/** What is compared: Redis itself, ringleader, nutcracker and other peers, all in front of the same three Redis servers. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/help/free-port.js';
import { BenchmarkError, type Children } from './children.js';
import { isRunning, threadsOf } from './cpu.js';
import type { CommandPeer, Options, Variant } from './options.js';
import { type Programs, root } from './programs.js';

export interface Endpoint {
  readonly label: string;
  readonly host: string;
  readonly port: number;
  /** The process whose CPU is counted; null when it is not known. */
  readonly pid: number | null;
  /** Where ringleader's admin port is. */
  readonly adminPort?: number;
}

export interface Node {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

const HOST = '127.0.0.1';

/** Starts the three Redis servers, without persistence. */
export async function startNodes(children: Children, programs: Programs, ports: readonly number[] | null) {
  const nodes: Node[] = [];
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const port = ports?.[index] ?? (await freePort());
    const args = ['--port', `${port}`, '--bind', HOST, '--save', '', '--appendonly', 'no'];
    const { server, env } = programs.redis;
    nodes.push({ name, port, pid: children.start(`redis-${name}`, server, args, { env }) });
  }
  return nodes;
}

/** Starts, or finds, all endpoints that `options` ask for, in a fixed order: direct, ringleader, nutcracker, peers. */
export async function startEndpoints(
  children: Children,
  programs: Programs,
  nodes: readonly Node[],
  options: Options,
): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = [];
  const first = nodes[0];
  if (first !== undefined && isAsked(options, 'direct')) {
    endpoints.push({ label: 'direct', host: HOST, port: first.port, pid: first.pid });
  }
  for (const variant of options.variants.filter(({ label }) => isAsked(options, label))) {
    endpoints.push(await startRingleader(children, nodes, variant));
  }
  if (programs.nutcracker !== null) endpoints.push(await startNutcracker(children, programs, nodes));
  for (const peer of options.commandPeers.filter(({ label }) => isAsked(options, label))) {
    endpoints.push(await startPeer(children, nodes, peer));
  }
  for (const peer of options.peers.filter(({ label }) => isAsked(options, label))) {
    if (peer.pid !== null) {
      if (!isRunning(peer.pid)) throw new BenchmarkError(`${peer.label}: there is no process ${peer.pid}`);
      children.raise(threadsOf(peer.pid));
    }
    endpoints.push(peer);
  }
  const labels = new Set(endpoints.map(({ label }) => label));
  if (labels.size < endpoints.length) throw new BenchmarkError('two endpoints have the same label');
  if (endpoints.length === 0) throw new BenchmarkError(`--only ${options.only?.join(',')}: there is no such endpoint`);
  return endpoints;
}

export function isAsked(options: Options, label: string): boolean {
  return options.only === null || options.only.includes(label);
}

async function startRingleader(children: Children, nodes: readonly Node[], variant: Variant): Promise<Endpoint> {
  const { label, main, node } = variant;
  if (!existsSync(main)) throw new BenchmarkError(`${main} is missing: npm run build (or leave it out with --only)`);
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = `
listen: ${HOST}:${port}
admin: ${HOST}:${adminPort}
workers: ${variant.workers}
transport: ${variant.transport}
pools:
  main:
    nodes:
${nodes.map(({ name, port }) => `      - { name: ${name}, url: "redis://${HOST}:${port}" }`).join('\n')}
keyspaces:
  - { prefix: "", pool: main, mode: sharded }
`;
  const path = join(children.folder(label), 'ringleader.yaml');
  writeFileSync(path, config);
  return { label, host: HOST, port, adminPort, pid: children.start(label, node, [main, 'start', '--config', path]) };
}

/**
 * nutcracker as its README recommends it for Redis, and as `endpoints` need it: one pool, ketama, and no server taken
 * out of the pool when it is slow.
 */
async function startNutcracker(children: Children, programs: Programs, nodes: readonly Node[]): Promise<Endpoint> {
  const label = 'nutcracker';
  if (programs.nutcracker === null) throw new BenchmarkError('nutcracker was not looked for');
  const port = await freePort();
  const config = `
main:
  listen: ${HOST}:${port}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  servers:
${nodes.map(({ name, port }) => `    - ${HOST}:${port}:1 ${name}`).join('\n')}
`;
  const folder = children.folder(label);
  const path = join(folder, 'nutcracker.yml');
  writeFileSync(path, config);
  const statistics = ['-a', HOST, '-s', `${await freePort()}`];
  const args = ['-c', path, '-o', join(folder, 'nutcracker.log'), '-p', join(folder, 'nutcracker.pid'), ...statistics];
  const { program, env } = programs.nutcracker;
  return { label, host: HOST, port, pid: children.start(label, program, args, { env }) };
}

async function startPeer(children: Children, nodes: readonly Node[], peer: CommandPeer): Promise<Endpoint> {
  const port = await freePort();
  const [command = '', ...args] = peer.command
    .replaceAll('{port}', `${port}`)
    .replaceAll('{nodes}', nodes.map((node) => node.port).join(','))
    .split(/\s+/);
  return { label: peer.label, host: HOST, port, pid: children.start(peer.label, command, args) };
}

/** The compiled main.js of this checkout. */
export const mainPath = new URL('dist/src/main.js', root).pathname;
