/** Ringleader before three Redis servers of its own, with one copy of each key or with three. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../test/help/free-port.js';
import { BenchmarkError, type Children } from '../compare/children.js';
import { mainPath } from '../compare/endpoints.js';
import type { RedisPrograms } from '../compare/programs.js';
import type { Ask, Target } from './load.js';

const HOST = '127.0.0.1';
const NODES = ['a', 'b', 'c'];

export type Persistence = 'always' | 'everysec' | 'none';

export interface RingleaderOptions {
  label: string;
  mode: 'sharded' | 'replicated';
  persistence: Persistence;
}

export interface RingleaderTarget extends Target {
  host: string;
  port: number;
  pid: number;
  proxyPid: number;
  /** SIGKILL for one of the three. */
  killNode(): Promise<void>;
}

export async function startRingleader(
  children: Children,
  { server, env }: RedisPrograms,
  { label, mode, persistence }: RingleaderOptions,
): Promise<RingleaderTarget> {
  const nodes: { name: string; url: string }[] = [];
  const serverPids: number[] = [];
  const saving = persistence === 'none' ? ['no'] : ['yes', '--appendfsync', persistence];
  for (const name of NODES) {
    const port = await freePort();
    const args = ['--port', `${port}`, '--bind', HOST, '--save', '', '--dir', children.folder(`${label}-${name}`)];
    serverPids.push(children.start(`${label}-${name}`, server, [...args, '--appendonly', ...saving], { env }));
    nodes.push({ name, url: `redis://${HOST}:${port}` });
  }
  const port = await freePort();
  const keyspace = mode === 'sharded' ? { mode } : { mode, copies: 3, consistency: 'strong' };
  const config = {
    listen: `${HOST}:${port}`,
    admin: `${HOST}:${await freePort()}`,
    workers: 1,
    pools: { main: { nodes } },
    keyspaces: [{ prefix: '', pool: 'main', ...keyspace }],
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
    serverPids,
    connect: (size) => connectTo(port, size),
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

/** A connection for each client, made when it first asks. */
async function connectTo(port: number, size: number): Promise<{ write: Ask; read: Ask; close: () => void }> {
  const clients: RespConnection[] = [];
  const of = async (client: number) => {
    clients[client] ??= await RespConnection.connect(port);
    return clients[client];
  };
  const value = 'x'.repeat(size);
  const reply = `$${size}\r\n${value}\r\n`;
  return {
    write: async (client, key) => {
      const answer = await (await of(client)).ask(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n${reply}`, 5);
      if (answer !== '+OK\r\n') throw new BenchmarkError(`SET was answered ${answer}`);
    },
    read: async (client, key) => {
      const answer = await (await of(client)).ask(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`, reply.length);
      if (answer !== reply) throw new BenchmarkError(`GET was answered ${answer}`);
    },
    close: () => {
      for (const client of clients) client?.close();
    },
  };
}

/** One question at a time. What is expected has a known length; an error is a line. */
class RespConnection {
  private readonly socket: Socket;
  private received = '';
  private expected = 0;
  private resolve: (answer: string) => void = () => {};
  private reject: (error: Error) => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
      const isError = this.received.startsWith('-') && this.received.endsWith('\r\n');
      if (this.received.length >= this.expected || isError || this.received === '$-1\r\n') {
        const answer = this.received;
        this.received = '';
        this.resolve(answer);
      }
    });
    socket.on('close', () => this.reject(new BenchmarkError('the connection was closed')));
    socket.on('error', (error) => this.reject(error));
  }

  static async connect(port: number): Promise<RespConnection> {
    const socket = connect({ host: HOST, port, noDelay: true });
    await once(socket, 'connect');
    return new RespConnection(socket);
  }

  ask(words: string, expected: number): Promise<string> {
    this.expected = expected;
    this.socket.write(words, 'latin1');
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  close(): void {
    this.socket.destroy();
  }
}
