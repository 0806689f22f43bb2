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
import { writeLater } from './write-later.js';

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

interface Question {
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
}

/** Answers come in the order of the questions; each is a line, or a bulk string. */
class RespConnection {
  private readonly socket: Socket;
  private readonly questions: Question[] = [];
  private received = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received = this.received === '' ? text : this.received + text;
      this.takeAnswers();
    });
    socket.on('close', () => this.fail(new BenchmarkError('the connection was closed')));
    socket.on('error', (error) => this.fail(error));
  }

  static async connect(port: number): Promise<RespConnection> {
    const socket = connect({ host: HOST, port, noDelay: true });
    await once(socket, 'connect');
    return new RespConnection(socket);
  }

  ask(words: string): Promise<string> {
    writeLater(this.socket, words);
    return new Promise((resolve, reject) => this.questions.push({ resolve, reject }));
  }

  close(): void {
    this.socket.destroy();
  }

  private takeAnswers(): void {
    const { received } = this;
    let at = 0;
    for (;;) {
      const line = received.indexOf('\r\n', at) + 2;
      if (line < 2) break;
      const length = received[at] === '$' ? Number(received.slice(at + 1, line - 2)) : -1;
      const end = length < 0 ? line : line + length + 2;
      if (end > received.length) break;
      this.questions.shift()?.resolve(received.slice(at, end));
      at = end;
    }
    this.received = received.slice(at);
  }

  private fail(error: Error): void {
    for (const { reject } of this.questions.splice(0)) reject(error);
  }
}
