/** A real nutcracker (twemproxy) in front of real Redis servers, and where the keys went that were written through it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { type Child, removeFolder, scratchFolder, startChild } from './child.js';
import { freePort } from './free-port.js';
import type { RedisServer } from './redis-server.js';
import { encodeWords, RespClient } from './resp-client.js';
import { waitFor, within } from './wait-for.js';

export interface NutcrackerProgram {
  program: string;
  env: Record<string, string>;
  version: string;
}

/** The program on this machine, or why there is none. Tests run in the checkout's folder, wherever they were compiled to. */
export async function findNutcracker(): Promise<NutcrackerProgram | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'nutcracker.mjs')).href;
  const { nutcrackerProgram } = (await import(script)) as { nutcrackerProgram(): NutcrackerProgram };
  try {
    return nutcrackerProgram();
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** A pool of its configuration file, but where it listens. */
export interface NutcrackerPool {
  distribution: 'ketama' | 'modula';
  hash: string;
  hashTag?: string;
  /** As in its file: `host:port:weight name`. */
  servers: readonly string[];
}

export class Nutcracker {
  /** Its configuration file. */
  readonly configText: string;
  private readonly ports: readonly number[];
  private readonly folder: string;
  private readonly child: Child;

  private constructor(configText: string, ports: readonly number[], folder: string, child: Child) {
    this.configText = configText;
    this.ports = ports;
    this.folder = folder;
    this.child = child;
  }

  /** Resolves when all pools take connections. Rejects with what it wrote when it ends instead. */
  static async start({ program, env }: NutcrackerProgram, pools: readonly NutcrackerPool[]): Promise<Nutcracker> {
    const folder = scratchFolder('nutcracker');
    const ports: number[] = [];
    for (const _ of pools) ports.push(await freePort());
    const configText = pools.map((pool, index) => poolText(`pool${index}`, ports[index] as number, pool)).join('\n');
    const path = join(folder, 'nutcracker.yml');
    writeFileSync(path, configText);
    const logPath = join(folder, 'nutcracker.log');
    const files = ['-c', path, '-p', join(folder, 'nutcracker.pid'), '-o', logPath];
    const child = await startChild(program, [...files, '-a', '127.0.0.1', '-s', `${await freePort()}`], { env });
    const nutcracker = new Nutcracker(configText, ports, folder, child);
    const ended = child.ended.then(() => {
      throw new Error(`nutcracker ended:\n${child.output()}${readFileSync(logPath, 'utf8')}`);
    });
    // What ends it later is for its test to see.
    ended.catch(() => {});
    const listening = Promise.all(ports.map((port) => waitFor(`pool on port ${port}`, () => takesConnections(port))));
    try {
      await Promise.race([listening, ended]);
    } catch (error) {
      await nutcracker.stop();
      throw error;
    }
    return nutcracker;
  }

  /**
   * Writes `keys` through the pool with that index and returns, per key, which of `servers` then has it. The servers are
   * empty before and after.
   */
  async place(pool: number, keys: readonly Uint8Array[], servers: readonly RedisServer[]): Promise<Int32Array> {
    const client = await RespClient.connect(this.ports[pool] as number);
    for (let at = 0; at < keys.length; at += BATCH_KEYS) {
      const batch = keys.slice(at, at + BATCH_KEYS);
      client.send(Buffer.concat(batch.map((key) => encodeWords(['SET', key, '']))));
      const replies = (await client.nextBytes(OK.length * batch.length)).toString('latin1');
      if (replies !== OK.repeat(batch.length)) throw new Error(`nutcracker answered ${replies.slice(0, 100)}`);
    }
    client.close();
    const found = new Map<string, number>();
    for (const [index, server] of servers.entries()) {
      const redis = new Redis(server.port);
      for (const key of await redis.keysBuffer('*')) found.set(key.toString('latin1'), index);
      await redis.flushall();
      redis.disconnect();
    }
    return Int32Array.from(keys, (key) => found.get(Buffer.from(key).toString('latin1')) ?? -1);
  }

  async stop(): Promise<void> {
    this.child.signal('SIGKILL');
    await within('the end of nutcracker', this.child.ended);
    removeFolder(this.folder);
  }
}

const OK = '+OK\r\n';
const BATCH_KEYS = 10_000;

async function takesConnections(port: number): Promise<boolean> {
  (await RespClient.connect(port)).close();
  return true;
}

function poolText(name: string, port: number, { distribution, hash, hashTag, servers }: NutcrackerPool): string {
  const tag = hashTag === undefined ? '' : `  hash_tag: "${hashTag}"\n`;
  return `${name}:
  listen: 127.0.0.1:${port}
  redis: true
  distribution: ${distribution}
  hash: ${hash}
${tag}  servers:
${servers.map((server) => `    - ${server}`).join('\n')}
`;
}
