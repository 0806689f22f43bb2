/** Ringleader before three Redis servers of its own, with one copy of each key or with three. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../test/help/free-port.js';
import { BenchmarkError, type Children } from '../compare/children.js';
import { mainPath } from '../compare/endpoints.js';
import type { RedisPrograms } from '../compare/programs.js';
import type { Ask, Target } from './load.js';
import { RespConnection } from './resp-connection.js';

const HOST = '127.0.0.1';
const NODES = ['a', 'b', 'c'];
const KEYSPACES = {
  sharded: { prefix: '', mode: 'sharded' },
  replicated: { prefix: '', mode: 'replicated', copies: 3, consistency: 'strong' },
  quorum: { prefix: '', mode: 'replicated', copies: 3, consistency: 'quorum' },
  eventual: { prefix: '', mode: 'replicated', copies: 3, consistency: 'eventual' },
  weak: { prefix: '', mode: 'replicated', copies: 3, consistency: 'weak' },
  lock: { prefix: 'lock:', mode: 'lock' },
};

export type Persistence = 'always' | 'everysec' | 'none';

export interface RingleaderOptions {
  label: string;
  /** `replicated` is strong. `lock`: the prefix is `lock:`, and there is nothing else. */
  mode: keyof typeof KEYSPACES;
  persistence: Persistence;
  limits?: Readonly<Record<string, number | string>>;
}

export interface RingleaderTarget extends Target {
  host: string;
  port: number;
  pid: number;
  proxyPid: number;
  adminUrl: string;
  /** Ports of its three servers. */
  nodePorts: readonly number[];
  /** SIGKILL for one of the three. */
  killNode(): Promise<void>;
}

export async function startRingleader(
  children: Children,
  { server, env }: RedisPrograms,
  { label, mode, persistence, limits = {} }: RingleaderOptions,
): Promise<RingleaderTarget> {
  const nodes: { name: string; url: string }[] = [];
  const serverPids: number[] = [];
  const nodePorts: number[] = [];
  const saving = persistence === 'none' ? ['no'] : ['yes', '--appendfsync', persistence];
  for (const name of NODES) {
    const port = await freePort();
    const args = ['--port', `${port}`, '--bind', HOST, '--save', '', '--dir', children.folder(`${label}-${name}`)];
    serverPids.push(children.start(`${label}-${name}`, server, [...args, '--appendonly', ...saving], { env }));
    nodePorts.push(port);
    nodes.push({ name, url: `redis://${HOST}:${port}` });
  }
  const port = await freePort();
  const admin = `${HOST}:${await freePort()}`;
  const keyspace = KEYSPACES[mode];
  const config = {
    listen: `${HOST}:${port}`,
    admin,
    limits,
    workers: 1,
    pools: { main: { nodes } },
    keyspaces: [{ pool: 'main', ...keyspace }],
  };
  const path = join(children.folder(label), 'ringleader.yml');
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config));
  const pid = children.start(label, process.execPath, [mainPath, 'start', '--config', path]);
  return {
    label,
    host: HOST,
    port,
    pid,
    proxyPid: pid,
    adminUrl: `http://${admin}`,
    serverPids,
    nodePorts,
    connect: (size, connections) => connectTo(port, size, connections),
    killNode: () => children.kill9(`${label}-${NODES.at(-1)}`),
  };
}

/** What it has counted, by the names of INFO: `ringleader_replicated_prepares`. */
export async function countersOf({ host, port }: RingleaderTarget): Promise<Map<string, number>> {
  const redis = new Redis({ host, port, protocol: 2 });
  const info = `${await redis.info('ringleader')}`;
  redis.disconnect();
  return new Map([...info.matchAll(/^(\w+):(\d+)\r$/gm)].map(([, name, value]) => [name as string, Number(value)]));
}

async function connectTo(
  port: number,
  size: number,
  count: number,
): Promise<{ write: Ask; read: Ask; close: () => void }> {
  const connections = await Promise.all(Array.from({ length: count }, () => RespConnection.connect(port)));
  const of = (client: number) => connections[client % count] as RespConnection;
  const value = 'x'.repeat(size);
  const reply = `$${size}\r\n${value}\r\n`;
  return {
    write: async (client, key) => {
      const answer = await of(client).ask(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n${reply}`);
      if (answer !== '+OK\r\n') throw new BenchmarkError(`SET was answered ${answer}`);
    },
    read: async (client, key) => {
      const answer = await of(client).ask(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`);
      if (answer !== reply) throw new BenchmarkError(`GET was answered ${answer}`);
    },
    close: () => {
      for (const connection of connections) connection.close();
    },
  };
}
