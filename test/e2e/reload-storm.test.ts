/**
 * SIGHUPs faster than reloads, with files that are good, invalid, refused and half written, and workers that die meanwhile:
 * clients count, and nothing that was acknowledged is lost.
 */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { connect, RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';
import { Seeded } from '../transport/seeded.js';

const CLIENTS = 12;
const DEPTH = 8;
const DEATHS = 2;
/** Milliseconds between two signals, at the most: a reload takes longer. */
const PAUSE_MS_MAX = 6;
/** Of each outcome so many, before the storm is over. */
const OUTCOMES = 15;
const STORM_MS_MAX = 30_000;
const USERS = ['u0', 'u1', 'u2'];
const LAST_USER = 'u2';
const LAST_CLIENTS_MAX = 20;

for (const transport of ['io_uring', 'node'] as const) {
  t.test(
    `on ${transport}, a storm of reloads and the death of workers lose nothing that was acknowledged`,
    async (t) => {
      const random = new Seeded();
      t.comment(`SEED=${random.seed}`);
      const deployment = await deploy(t, { transport, env: { RINGLEADER_TEST_HOOKS: '1' } });
      const { proxy } = deployment;
      for (const server of deployment.servers) {
        const direct = await connect(t, server.port);
        for (const user of USERS)
          await direct.command('ACL', 'SETUSER', user, 'on', `>secret-${user}`, '~*', '&*', '+@all');
      }
      const files = new Files(deployment, random);
      const counters = Array.from({ length: CLIENTS }, (_, index) => new Counter(deployment, index));
      t.teardown(() => counters.map((counter) => counter.stop()));
      const counting = Promise.all(counters.map((counter) => counter.run()));
      await waitFor('all to count', () => counters.every(({ acknowledged }) => acknowledged > 0));

      const dying = killWorkers(deployment);
      const deadlineMs = performance.now() + STORM_MS_MAX;
      for (; performance.now() < deadlineMs && !(isStormOver(deployment) && counters.every(({ isWell }) => isWell)); ) {
        files.writeNext();
        await sleep(random.below(PAUSE_MS_MAX));
      }
      await dying;
      await files.settle();
      const outcomes = ['reloaded', 'reload-failed', 'reload-refused'].map(
        (event) => `${count(deployment, event)} ${event}`,
      );
      t.ok(isStormOver(deployment), `${files.signals} signals: ${outcomes.join(', ')}`);
      const handled =
        count(deployment, 'reloaded') + count(deployment, 'reload-failed') + count(deployment, 'reload-refused');
      t.ok(files.signals > handled, 'signals were faster than reloads');

      await files.lastGood();
      await files.badOnes();
      const before = counters.map(({ acknowledged }) => acknowledged);
      await waitFor('all to go on', () =>
        counters.every(({ acknowledged }, index) => acknowledged > (before[index] ?? 0)),
      );
      for (const counter of counters) counter.stop();
      await counting;

      t.same(counters.flatMap(({ faults }) => faults).slice(0, 5), []);
      const lost = proxy.logLines.filter(({ msg }) => msg === 'worker-died').map(({ sessions }) => sessions as number);
      t.equal(lost.length, DEATHS, 'no worker died but those that were told to');
      const cuts = counters.reduce((sum, { cuts }) => sum + cuts, 0);
      const sessions = lost.reduce((sum, sessions) => sum + sessions, 0);
      t.ok(cuts > 0 && cuts <= sessions, `${cuts} clients were cut off, ${sessions} sessions were those of the dead`);
      t.same((await Promise.all(counters.map((counter) => counter.verify()))).flat(), []);
      t.comment(`${counters.reduce((sum, { acknowledged }) => sum + acknowledged, 0)} INCRs`);
      await lastGoodHolds(t, deployment);
      t.notMatch(proxy.output(), /secret-u/);
      t.equal(await proxy.stop(), 0);
    },
  );
}

function count({ proxy }: Deployment, event: string): number {
  return proxy.logLines.filter(({ msg }) => msg === event).length;
}

function isStormOver(deployment: Deployment): boolean {
  const enough = ['reloaded', 'reload-failed', 'reload-refused'].every((event) => count(deployment, event) >= OUTCOMES);
  return enough && count(deployment, 'worker-restarted') >= DEATHS;
}

/** One worker after the other, each while files are being read. */
async function killWorkers(deployment: Deployment): Promise<void> {
  for (let death = 0; death < DEATHS; death++) {
    const reloads = count(deployment, 'reloaded');
    await waitFor('reloads before a death', () => count(deployment, 'reloaded') >= reloads + 2, STORM_MS_MAX);
    deployment.proxy.signal('SIGUSR2');
    await waitFor('another worker', () => count(deployment, 'worker-restarted') > death, STORM_MS_MAX);
  }
}

/** The configuration file, as somebody writes it who has no rest. */
class Files {
  private readonly deployment: Deployment;
  private readonly random: Seeded;
  private readonly first: string;
  private written = 0;
  signals = 0;

  constructor(deployment: Deployment, random: Seeded) {
    this.deployment = deployment;
    this.random = random;
    this.first = deployment.proxy.configText();
  }

  /** Writes and signals. The kinds in turn, so that none is left to chance. What the proxy reads of one that is half written is left to it. */
  writeNext(): void {
    const user = this.random.pick(USERS);
    const n = this.written++;
    switch (n % 5) {
      case 0:
      case 1:
        this.write(this.good(user, n));
        break;
      case 2:
        this.write(this.invalid(n));
        break;
      case 3:
        this.write(this.refused(user, n));
        break;
      case 4:
        this.writeInHalves(this.good(user, n));
        break;
    }
    this.signal();
  }

  /** Resolves when all that was signalled has been handled. */
  async settle(): Promise<void> {
    const { proxy } = this.deployment;
    this.write(this.first.replace('"workers"', '"lastOfTheStorm"'));
    this.signal();
    await proxy.waitForLog('reload-failed', ({ problems }) =>
      JSON.stringify(problems ?? '').includes('lastOfTheStorm'),
    );
  }

  /** The file that is to hold in the end. */
  async lastGood(): Promise<void> {
    await this.handled(this.good(LAST_USER, 0, { clientsMax: LAST_CLIENTS_MAX }), 'reloaded');
  }

  async badOnes(): Promise<void> {
    const other = this.good('u0', 1);
    await this.handled(this.refused('u1', 2), 'reload-refused');
    await this.handled(other.slice(0, other.length / 2), 'reload-failed');
    await this.handled('', 'reload-failed');
    await this.handled(this.invalid(3), 'reload-failed');
  }

  private async handled(text: string, outcome: string): Promise<void> {
    const before = count(this.deployment, outcome);
    this.write(text);
    this.signal();
    await waitFor(`one more ${outcome}`, () => count(this.deployment, outcome) > before);
  }

  private good(user: string, n: number, limits = {}): string {
    const config = JSON.parse(this.first);
    for (const node of config.pools.main.nodes) node.url = node.url.replace('//', `//${user}:secret-${user}@`);
    config.limits = { idlePingMs: 1_000 + n, ...limits };
    config.pools.main.limits = { requestTimeoutMs: 8_000 + (n % 1_000) };
    return JSON.stringify(config, null, 2);
  }

  private invalid(n: number): string {
    return this.first.replace('"workers"', `"wrokers${n}"`);
  }

  private refused(user: string, n: number): string {
    return this.good(user, n).replace('"name": "a"', '"name": "z"');
  }

  private signal(): void {
    this.deployment.proxy.signal('SIGHUP');
    this.signals++;
  }

  private write(text: string): void {
    writeFileSync(this.deployment.proxy.configPath, text);
  }

  private writeInHalves(text: string): void {
    const file = openSync(this.deployment.proxy.configPath, 'w');
    const half = this.random.below(text.length);
    writeSync(file, text.slice(0, half));
    this.signal();
    // Now and then the other half never comes.
    if (this.random.below(2) === 0) writeSync(file, text.slice(half));
    closeSync(file);
  }
}

/** A client that counts. When it is cut off it comes again, and counts on another key: what was under way may be done late. */
class Counter {
  readonly faults: string[] = [];
  /** INCRs that were answered. */
  acknowledged = 0;
  /** Connections that ended although they had been served. */
  cuts = 0;
  /** Connected, and served. */
  isWell = false;
  private readonly deployment: Deployment;
  private readonly index: number;
  private readonly keys: { key: string; node: number; value: number; doubtful: number }[] = [];
  private isStopping = false;

  constructor(deployment: Deployment, index: number) {
    this.deployment = deployment;
    this.index = index;
  }

  async run(): Promise<void> {
    while (!this.isStopping && this.faults.length === 0) {
      // A worker that dies may take a connection with it that it had not served, or had not yet taken.
      const client = await waitFor('a connection', () => RespClient.connect(this.deployment.port));
      const before = this.acknowledged;
      try {
        await this.checkLast(client);
        await this.count(client);
      } catch (error) {
        // Nothing but the end of the connection may be in the way of a reply.
        await within('the end of the connection', client.closed).catch(() => this.faults.push(`${error}`));
        if (this.acknowledged > before) this.cuts++;
        this.isWell = false;
      } finally {
        client.close();
      }
    }
  }

  stop(): void {
    this.isStopping = true;
  }

  /** What the nodes hold, read from them directly, that is not what was acknowledged. */
  async verify(): Promise<string[]> {
    const wrong: string[] = [];
    for (const { key, node, value, doubtful } of this.keys) {
      const direct = await RespClient.connect(this.deployment.servers[node]?.port ?? 0);
      const held = Number(await direct.command('GET', key));
      direct.close();
      if (held < value || held > value + doubtful)
        wrong.push(`${key} is ${held}: ${value} acknowledged, ${doubtful} in doubt`);
    }
    return wrong;
  }

  /** After a cut: what was acknowledged is there. */
  private async checkLast(client: RespClient): Promise<void> {
    const last = this.keys.at(-1);
    if (last === undefined || last.value === 0) return;
    const held = Number(await client.command('GET', last.key));
    if (held < last.value || held > last.value + last.doubtful) {
      this.faults.push(
        `after a cut ${last.key} was read as ${held}: ${last.value} acknowledged, ${last.doubtful} in doubt`,
      );
    }
  }

  private async count(client: RespClient): Promise<void> {
    const node = this.index % this.deployment.names.length;
    const key = this.deployment.key(node, `counter:${this.index}:${this.keys.length}`);
    const state = { key, node, value: 0, doubtful: 0 };
    this.keys.push(state);
    const batch = `*2\r\n$4\r\nINCR\r\n$${key.length}\r\n${key}\r\n`.repeat(DEPTH);
    while (!this.isStopping) {
      client.send(batch);
      state.doubtful = DEPTH;
      while (state.doubtful > 0) {
        const reply = (await client.next()).toString('latin1');
        if (reply !== `:${state.value + 1}\r\n`) {
          this.faults.push(`INCR ${key} number ${state.value + 1} was answered ${reply}`);
          return;
        }
        state.value++;
        state.doubtful--;
        this.acknowledged++;
        this.isWell = true;
      }
    }
  }
}

/** The nodes know the last user only, and nobody gets in beyond the last limit: on all workers, also new ones. */
async function lastGoodHolds(t: Test, deployment: Deployment): Promise<void> {
  for (const server of deployment.servers) {
    const direct = await connect(t, server.port);
    await direct.command('ACL', 'SETUSER', 'default', '>only-the-test');
    await direct.command('AUTH', 'default', 'only-the-test');
    await direct.command('ACL', 'SETUSER', 'default', 'off');
    for (const user of USERS) if (user !== LAST_USER) await direct.command('ACL', 'DELUSER', user);
    // Those of the proxy come again, with what it has to show.
    await direct.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
  await waitFor('the last limit', async () => {
    const clients = await Promise.all(
      Array.from({ length: LAST_CLIENTS_MAX + 5 }, () => RespClient.connect(deployment.port)),
    );
    const replies = await Promise.all(clients.map((client) => client.raw('PING').catch(() => 'closed')));
    for (const client of clients) client.close();
    return replies.filter((reply) => `${reply}` === '+PONG\r\n').length === LAST_CLIENTS_MAX;
  });
  const clients = await waitFor('room for clients', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => RespClient.connect(deployment.port)));
    const replies = await Promise.all(clients.map((client) => client.raw('PING').catch(() => 'closed')));
    if (replies.every((reply) => `${reply}` === '+PONG\r\n')) return clients;
    for (const client of clients) client.close();
    return null;
  });
  for (const [index, client] of clients.entries()) {
    for (const node of deployment.names.keys()) {
      const key = deployment.key(node, `last:${index}`);
      t.equal(await waitFor('the node', () => client.command('SET', key, 'x').catch(() => null)), 'OK');
    }
    client.close();
  }
}
