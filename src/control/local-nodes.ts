/**
 * Three Redis servers for somebody who has none at hand: `ringleader start` without a configuration. They keep nothing,
 * listen on loopback only, and end with the proxy.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NODE_NAMES = ['a', 'b', 'c'] as const;

export interface LocalNodes {
  /** A configuration with these nodes, in YAML. */
  configText: string;
  /** How to call the redis-cli that belongs to them, in a shell. */
  cli: string;
  /** Ends the servers and removes what they left. */
  stop(): Promise<void>;
}

interface RedisPrograms {
  server: string;
  cli: string;
  env: Record<string, string>;
}

/** Rejects with an error that says what to install when there is no Redis to be had. */
export async function startLocalNodes(): Promise<LocalNodes> {
  const programs = await findPrograms();
  const folder = mkdtempSync(join(tmpdir(), 'ringleader-nodes-'));
  const servers = new Set<ChildProcess>();
  // Whatever ends this process, short of a SIGKILL, ends the servers.
  const destroy = () => {
    for (const server of servers) server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', destroy);
  try {
    const ports = await freePorts(NODE_NAMES.length);
    await Promise.all(ports.map((port) => startServer(programs, port, folder, servers)));
    return { configText: configText(ports), cli: shellCommand(programs), stop: () => stopAll(servers, destroy) };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** The script is plain JavaScript outside the compiled sources, so its type is stated here. */
async function findPrograms(): Promise<RedisPrograms> {
  const script = new URL('../../../scripts/redis.mjs', import.meta.url).href;
  const { redisPrograms } = (await import(script)) as { redisPrograms(): RedisPrograms };
  return redisPrograms();
}

function configText(ports: readonly number[]): string {
  const nodes = NODE_NAMES.map((name, index) => `      - { name: ${name}, url: "redis://127.0.0.1:${ports[index]}" }`);
  return ['listen: 127.0.0.1:6380', 'admin: 127.0.0.1:9121', 'pools:', '  main:', '    nodes:', ...nodes, ''].join(
    '\n',
  );
}

/** Resolves when the server takes connections, rejects with what it said when it does not. */
function startServer(programs: RedisPrograms, port: number, folder: string, servers: Set<ChildProcess>): Promise<void> {
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'];
  const server = spawn(programs.server, args, {
    env: { ...process.env, ...programs.env },
    stdio: ['ignore', 'pipe', 'ignore'],
    // A Ctrl-C on the terminal is for the proxy, which then ends the servers: a client's last commands still find them.
    detached: true,
  });
  servers.add(server);
  return new Promise((resolve, reject) => {
    let output = '';
    server.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.includes(READY)) return;
      output += text;
      if (output.includes(READY)) resolve();
    });
    server.once('error', reject);
    server.once('exit', (code, signal) => {
      servers.delete(server);
      reject(new Error(`redis-server on port ${port} ended with ${signal ?? code}:\n${output}`));
    });
  });
}

const READY = 'Ready to accept connections';

async function stopAll(servers: ReadonlySet<ChildProcess>, destroy: () => void): Promise<void> {
  const ended = [...servers].map((server) => new Promise((resolve) => server.once('exit', resolve)));
  destroy();
  await Promise.all(ended);
  process.removeListener('exit', destroy);
}

/** Ports of loopback that are free, all open at once so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.once('listening', resolve))));
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port);
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  return ports;
}

function shellCommand({ cli, env }: RedisPrograms): string {
  return [...Object.entries(env).map(([name, value]) => `${name}=${value}`), cli].join(' ');
}
