/** Real Redis servers for tests: on free ports, in scratch folders, without persistence; to be killed, paused and revived. */
import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, removeFolder, scratchFolder, startChild } from './child.js';
import { freePort } from './free-port.js';
import { redisPrograms } from './redis-programs.js';
import { within } from './wait-for.js';

export interface RedisServerOptions {
  /** Chosen freely unless given. */
  port?: number;
  /** More of the command line: `['--requirepass', 'secret']`. */
  args?: readonly string[];
  /** Variables to add to its environment. */
  env?: Readonly<Record<string, string>>;
}

export class RedisServer {
  readonly port: number;
  /** Its unix socket, which it listens on as well. */
  readonly socketPath: string;
  private readonly folder: string;
  private readonly args: readonly string[];
  private readonly env: Readonly<Record<string, string>>;
  private child: Child | null = null;

  private constructor(port: number, { args = [], env = {} }: RedisServerOptions) {
    this.port = port;
    this.args = args;
    this.env = env;
    this.folder = scratchFolder('redis');
    this.socketPath = `${this.folder}/redis.sock`;
  }

  /** Resolves when the server takes connections. Rejects with what it wrote when it ends instead. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    for (;;) {
      const server = new RedisServer(options.port ?? (await freePort()), options);
      try {
        await server.launch();
        return server;
      } catch (error) {
        removeFolder(server.folder);
        // Another test may have taken the free port meanwhile.
        const isTaken = error instanceof Error && error.message.includes('Address already in use');
        if (!isTaken || options.port !== undefined) throw error;
      }
    }
  }

  /** `redis://127.0.0.1:PORT` */
  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** `127.0.0.1:PORT`, its name unless the configuration gives it another. */
  get name(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.running().pid;
  }

  /** What it has logged since it was started last. */
  output(): string {
    return this.child?.output() ?? '';
  }

  /** SIGKILL. Resolves when the process is gone; it can be started again with `restart`. */
  async kill9(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** SIGSTOP: connections stay, and nothing is answered. */
  pause(): void {
    this.running().signal('SIGSTOP');
  }

  /** Ends `pause`. */
  resume(): void {
    this.running().signal('SIGCONT');
  }

  /** Removes what it has written, after `kill9`: with persistence it would come back with that. */
  erase(): void {
    if (this.child !== null) throw new Error('erase comes after kill9');
    for (const name of readdirSync(this.folder)) rmSync(join(this.folder, name), { recursive: true });
  }

  /** Cuts off the end of its append-only file, after `kill9`, as a disk does that had not written all: `keptPart` of it stays. */
  truncate(keptPart: number): void {
    if (this.child !== null) throw new Error('truncate comes after kill9');
    const folder = join(this.folder, 'appendonlydir');
    const name = readdirSync(folder).find((name) => name.endsWith('.incr.aof'));
    if (name === undefined) throw new Error('there is no append-only file');
    const path = join(folder, name);
    truncateSync(path, Math.floor(statSync(path).size * keptPart));
  }

  /** Starts it again on its port, after `kill9`: empty, unless its arguments ask for persistence. Resolves when it takes connections. */
  async restart(): Promise<void> {
    if (this.child !== null) throw new Error('restart comes after kill9');
    await this.launch();
  }

  /** Ends it, if it runs, and removes its folder. */
  async stop(): Promise<void> {
    if (this.child !== null) await this.end('SIGKILL');
    removeFolder(this.folder);
  }

  private running(): Child {
    if (this.child === null) throw new Error(`the Redis server on port ${this.port} does not run`);
    return this.child;
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.running();
    this.child = null;
    child.signal(signal);
    await within(`the end of the Redis server on port ${this.port}`, child.ended);
  }

  private async launch(): Promise<void> {
    const { server, env } = await redisPrograms();
    const args = [
      ...['--port', `${this.port}`, '--bind', '127.0.0.1', '--unixsocket', this.socketPath],
      ...['--dir', this.folder, '--save', '', '--appendonly', 'no', ...this.args],
    ];
    const child = await startChild(server, args, { env: { ...env, ...this.env }, cwd: this.folder });
    const what = `the Redis server on port ${this.port}`;
    const ready = new Promise<void>((resolve, reject) => {
      child.onLine((line) => {
        if (line.includes('Ready to accept connections')) resolve();
      });
      void child.ended.then(({ code, signal }) => {
        reject(new Error(`${what} ended with ${signal ?? code}:\n${child.output()}`));
      });
    });
    await within(what, ready);
    this.child = child;
  }
}

/** Starts several, at the same time. */
export function startRedisServers(count: number, options: RedisServerOptions = {}): Promise<RedisServer[]> {
  return Promise.all(Array.from({ length: count }, () => RedisServer.start(options)));
}
