/** A real etcd of three members for tests: to be killed, paused and revived one by one. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Certificates } from './certificates.js';
import { type Child, removeFolder, scratchFolder, startChild } from './child.js';
import { freePort } from './free-port.js';
import { waitFor, within } from './wait-for.js';

export interface EtcdProgram {
  program: string;
  env: Record<string, string>;
  version: string;
}

/** The program on this machine, or why there is none. Tests run in the checkout's folder, wherever they were compiled to. */
export async function findEtcd(): Promise<EtcdProgram | { reason: string }> {
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'etcd.mjs')).href;
  const { etcdProgram } = (await import(script)) as { etcdProgram(): EtcdProgram };
  try {
    return etcdProgram();
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

export interface EtcdSettings {
  /** Beside the addresses without it there are such with TLS, which ask for a certificate, too. */
  certificates?: Certificates;
  /** More of the command line. */
  args?: readonly string[];
}

interface Member {
  readonly name: string;
  readonly url: string;
  /** The same with TLS. */
  readonly tlsUrl: string;
  readonly peerUrl: string;
  readonly folder: string;
  child: Child | null;
}

const HOST = '127.0.0.1';
const NAMES = ['a', 'b', 'c'];
/** Machines that run tests are slow now and then: an election a minute helps nobody. */
const START_MS_MAX = 30_000;

export class EtcdCluster {
  private readonly program: EtcdProgram;
  private readonly settings: EtcdSettings;
  private readonly members: readonly Member[];

  private constructor(program: EtcdProgram, settings: EtcdSettings, members: readonly Member[]) {
    this.program = program;
    this.settings = settings;
    this.members = members;
  }

  /** Resolves when it has a leader. */
  static async start(program: EtcdProgram, settings: EtcdSettings = {}): Promise<EtcdCluster> {
    const members: Member[] = [];
    for (const name of NAMES) {
      const [url, peerUrl] = [await freeUrl(), await freeUrl()];
      const tlsUrl = (await freeUrl()).replace('http:', 'https:');
      members.push({ name, url, tlsUrl, peerUrl, folder: scratchFolder(`etcd-${name}`), child: null });
    }
    const cluster = new EtcdCluster(program, settings, members);
    try {
      for (const member of members) await cluster.launch(member);
      await cluster.settled();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Of clients. */
  get endpoints(): string[] {
    return this.members.map(({ url }) => url);
  }

  get tlsEndpoints(): string[] {
    return this.members.map(({ tlsUrl }) => tlsUrl);
  }

  /** Of those that run. */
  get pids(): number[] {
    return this.members.flatMap(({ child }) => child?.pid ?? []);
  }

  get size(): number {
    return this.members.length;
  }

  /** SIGKILL. */
  async kill(index: number): Promise<void> {
    const member = this.members[index] as Member;
    const { child } = member;
    if (child === null) throw new Error(`etcd ${member.name} does not run`);
    member.child = null;
    child.signal('SIGKILL');
    await within(`the end of etcd ${member.name}`, child.ended);
  }

  /** With the data that it had. Resolves when the process runs: see `settled`. */
  async restart(index: number): Promise<void> {
    await this.launch(this.members[index] as Member);
  }

  pause(index: number): void {
    this.members[index]?.child?.signal('SIGSTOP');
  }

  resume(index: number): void {
    this.members[index]?.child?.signal('SIGCONT');
  }

  /** Which one leads, as one that runs sees it; -1: none. */
  async leader(): Promise<number> {
    for (const [index, { url, child }] of this.members.entries()) {
      if (child === null) continue;
      const response = await fetch(`${url}/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
        signal: AbortSignal.timeout(500),
      }).catch(() => null);
      const status = (await response?.json()) as { leader?: string; header?: { member_id: string } } | undefined;
      if (status?.leader !== undefined && status.leader === status.header?.member_id) return index;
    }
    return -1;
  }

  /** Resolves when there is a leader. */
  async settled(): Promise<void> {
    await waitFor('a leader of etcd', async () => (await this.leader()) >= 0, START_MS_MAX);
  }

  /** From now on it serves who gives that password. */
  async askForPassword(user: string, password: string): Promise<void> {
    await this.addUser(user, password);
    await this.ask('/v3/auth/role/add', { name: 'root' });
    await this.ask('/v3/auth/user/grant', { user, role: 'root' });
    await this.ask('/v3/auth/enable', {});
  }

  /** Who may do nothing yet. `token`: needed where it asks for passwords. */
  async addUser(user: string, password: string, token = ''): Promise<void> {
    await this.ask('/v3/auth/user/add', { name: user, password }, token);
  }

  /** The user may read and write what begins with `prefix`, and nothing else. */
  async allow(user: string, prefix: string): Promise<void> {
    const role = `${user}-of-${prefix}`;
    await this.ask('/v3/auth/role/add', { name: role });
    const bytes = Buffer.from(prefix);
    const end = Buffer.from(bytes);
    end[end.length - 1] = (end.at(-1) as number) + 1;
    const perm = { permType: 'READWRITE', key: bytes.toString('base64'), range_end: end.toString('base64') };
    await this.ask('/v3/auth/role/grant', { name: role, perm });
    await this.ask('/v3/auth/user/grant', { user, role });
  }

  /** What it gives for the password. */
  async token(name: string, password: string): Promise<string> {
    return ((await this.ask('/v3/auth/authenticate', { name, password })) as { token: string }).token;
  }

  async put(key: string, value: string): Promise<void> {
    const [keyBytes, valueBytes] = [key, value].map((text) => Buffer.from(text).toString('base64'));
    await this.ask('/v3/kv/put', { key: keyBytes, value: valueBytes });
  }

  async stop(): Promise<void> {
    for (const [index, { child }] of this.members.entries()) if (child !== null) await this.kill(index);
    for (const { folder } of this.members) removeFolder(folder);
  }

  /** Rejects with what it says where it does not do it. */
  async ask(path: string, body: object, token = ''): Promise<unknown> {
    const headers = token === '' ? {} : { authorization: token };
    const response = await fetch(`${this.endpoints[0]}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response.json();
  }

  private async launch(member: Member): Promise<void> {
    const { name, url, tlsUrl, peerUrl, folder } = member;
    const { certificates, args: more = [] } = this.settings;
    const own = certificates?.certify(name);
    const clientUrls = own === undefined ? url : `${url},${tlsUrl}`;
    const tls = own === undefined ? [] : ['--cert-file', own.cert, '--key-file', own.key];
    const trust = certificates === undefined ? [] : ['--client-cert-auth', '--trusted-ca-file', certificates.ca];
    const peers = this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
    const args = [
      ...['--name', name, '--data-dir', join(folder, 'data'), '--log-level', 'error'],
      ...['--heartbeat-interval', '60', '--election-timeout', '600'],
      ...['--listen-client-urls', clientUrls, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', peers, '--initial-cluster-state', 'new'],
      ...[...tls, ...trust, ...more],
    ];
    member.child = await startChild(this.program.program, args, { env: this.program.env, cwd: folder });
  }
}

async function freeUrl(): Promise<string> {
  return `http://${HOST}:${await freePort()}`;
}
