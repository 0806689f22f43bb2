/** What is compared: Redis itself, ringleader and its peers, all in front of the same three Redis servers. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/help/free-port.js';
import { BenchmarkError, type Children } from './children.js';
import { isRunning, threadsOf } from './cpu.js';
import type { CommandPeer, Options, Variant } from './options.js';
import { startFoundPeer } from './peers.js';
import { type Programs, root } from './programs.js';

export interface Endpoint {
  readonly label: string;
  readonly host: string;
  readonly port: number;
  /** The processes whose CPU is counted; none when they are not known. */
  readonly pids: readonly number[];
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

/** Starts, or finds, all endpoints that `options` ask for, in a fixed order: direct, ringleader, peers. */
export async function startEndpoints(
  children: Children,
  programs: Programs,
  nodes: readonly Node[],
  options: Options,
): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = [];
  const first = nodes[0];
  if (first !== undefined && isAsked(options, 'direct')) {
    endpoints.push({ label: 'direct', host: HOST, port: first.port, pids: [first.pid] });
  }
  for (const variant of options.variants.filter(({ label }) => isAsked(options, label))) {
    endpoints.push(await startRingleader(children, nodes, variant));
  }
  for (const [name, peer] of programs.peers) endpoints.push(await startFoundPeer(children, nodes, name, peer));
  for (const peer of options.commandPeers.filter(({ label }) => isAsked(options, label))) {
    endpoints.push(await startPeer(children, nodes, peer));
  }
  for (const peer of options.peers.filter(({ label }) => isAsked(options, label))) {
    for (const pid of peer.pids) {
      if (!isRunning(pid)) throw new BenchmarkError(`${peer.label}: there is no process ${pid}`);
      children.raise(threadsOf(pid));
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
  return { label, host: HOST, port, adminPort, pids: [children.start(label, node, [main, 'start', '--config', path])] };
}

async function startPeer(children: Children, nodes: readonly Node[], peer: CommandPeer): Promise<Endpoint> {
  const port = await freePort();
  const [command = '', ...args] = peer.command
    .replaceAll('{port}', `${port}`)
    .replaceAll('{nodes}', nodes.map((node) => node.port).join(','))
    .split(/\s+/);
  return { label: peer.label, host: HOST, port, pids: [children.start(peer.label, command, args)] };
}

/** The compiled main.js of this checkout. */
export const mainPath = new URL('dist/src/main.js', root).pathname;
