/** CLIENT LIST, CLIENT KILL and the like over the clients of several workers, held against one Redis. */
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { ReplyError } from '../help/reference-parser.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

/** The fields of each line of CLIENT LIST. */
function parseLines(text: unknown): Map<string, string>[] {
  return String(text)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => new Map(line.split(' ').map((field) => field.split('=', 2) as [string, string])));
}

async function linesOf(client: RespClient, ...words: string[]): Promise<Map<string, string>[]> {
  return parseLines(await client.command('CLIENT', ...words));
}

const WORDS = [
  ...['ID', 'TYPE', 'ADDR', 'LADDR', 'USER', 'SKIPME', 'id', 'type', 'addr', 'laddr', 'user', 'skipme', 'FOO', ''],
  ...['YES', 'no', 'maybe', 'normal', 'PUBSUB', 'replica', 'slave', 'master', 'none', 'default', 'nobody', '@addr'],
  ...['0', '99', '-1', 'x', '01', '+1', '9223372036854775807', '9223372036854775808', '@id', '@laddr', '127.0.0.1:1'],
];
const OPTIONS = ['ID', 'TYPE', 'ADDR', 'LADDR', 'USER', 'SKIPME'];

/** No pause that would last. */
const PAUSES = ['0', '1', '20', '-1', '-0', '01', 'x', '1.5', '', 'WRITE', 'all', 'never', '9223372036854775808'];

function randomArguments(random: Random): string[] {
  if (random.chance(20)) {
    const words = ['CLIENT', random.pick(['PAUSE', 'pause', 'Unpause', 'UNPAUSE', 'NO-EVICT'])];
    for (let left = random.below(4); left > 0; left--) words.push(random.pick([...PAUSES, 'on', 'OFF']));
    return words;
  }
  const words = ['CLIENT', random.pick(['LIST', 'KILL', 'list', 'kill'])];
  for (let left = random.below(5); left > 0; left--) {
    if (random.chance(60)) words.push(random.pick(OPTIONS));
    words.push(random.pick(WORDS));
  }
  return words;
}

/** A client that is asked the same as another one elsewhere. Whom it kills is itself, and it comes again. */
class Twin {
  private readonly port: number;
  private client: RespClient | null = null;
  private own = new Map<string, string>();

  constructor(port: number) {
    this.port = port;
  }

  /** The reply, with the names of fields for lines of CLIENT LIST; and whether the connection ended after it. */
  async ask(words: readonly string[]): Promise<string> {
    if (this.client === null) {
      this.client = await RespClient.connect(this.port);
      const [line] = await linesOf(this.client, 'INFO');
      this.own = line ?? new Map();
    }
    const { client } = this;
    const real = words.map((word) => (word.startsWith('@') ? (this.own.get(word.slice(1)) as string) : word));
    const reply = (await client.raw(...real)).toString('latin1');
    const ping = await client.command('PING').catch(() => 'it ended');
    if (ping !== 'PONG') this.client = null;
    const fields = parseLines(reply.startsWith('$') ? reply.slice(reply.indexOf('\n') + 1, -2) : '');
    let shown = fields.length > 0 ? fields.map((line) => [...line.keys()].join(' ')).join('\n') : reply;
    // Errors repeat what was said.
    for (const field of fields.length > 0 ? [] : ['addr', 'laddr', 'id']) {
      shown = shown.replaceAll(`'${this.own.get(field)}'`, `'@${field}'`);
    }
    return `${shown} ${ping}`;
  }

  close(): void {
    this.client?.close();
  }
}

async function reference(t: Test): Promise<RedisServer> {
  const [server] = await startRedisServers(1);
  t.teardown(() => server?.stop());
  return server as RedisServer;
}

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, any arguments are answered as one Redis answers them`, async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    const deployment = await deploy(t, { transport, nodes: 1 });
    const twins = [new Twin(deployment.port), new Twin((await reference(t)).port)] as const;
    const seen = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const words = randomArguments(random);
      const [got, expected] = await Promise.all(twins.map((twin) => twin.ask(words)));
      seen.add(expected as string);
      if (got !== expected) t.equal(got, expected, words.join(' '));
    }
    t.ok(seen.size > 8, `${seen.size} different replies`);
    for (const twin of twins) twin.close();
  });

  t.test(`on ${transport}, the clients of all workers are listed, and killed`, async (t) => {
    const deployment = await deploy(t, { transport, nodes: 1, workers: 3 });
    const clients: RespClient[] = [];
    for (let n = 0; n < 12; n++) {
      const client = await RespClient.connect(deployment.port);
      // It has its number when it is served.
      await client.command('CLIENT', 'SETNAME', `client-${n}`);
      clients.push(client);
    }
    const [first, second] = clients as [RespClient, RespClient];
    const lines = await linesOf(first, 'LIST');
    t.same(
      lines.map((line) => line.get('name')),
      clients.map((_, index) => `client-${index}`),
    );
    const ids = lines.map((line) => line.get('id') as string);
    t.same(
      ids,
      [...ids].sort((a, b) => Number(a) - Number(b)),
      'in the order in which they came',
    );
    t.equal(new Set(lines.map((line) => line.get('addr'))).size, 12);
    t.equal(await first.command('CLIENT', 'ID'), Number(ids[0]));

    const direct = await RespClient.connect((await reference(t)).port);
    const [wanted] = await linesOf(direct, 'INFO');
    t.same([...(lines[0] as Map<string, string>).keys()], [...(wanted as Map<string, string>).keys()], 'Redis fields');
    direct.close();

    t.equal(await first.command('CLIENT', 'KILL', 'ID', ids[5] as string), 1);
    await within('its end', (clients[5] as RespClient).closed);
    t.equal(await first.command('CLIENT', 'KILL', lines[6]?.get('addr') as string), 'OK');
    await within('its end', (clients[6] as RespClient).closed);
    t.equal((await linesOf(second, 'LIST')).length, 10);
    t.match(await second.command('INFO', 'clients'), /connected_clients:10\r\n/);

    t.equal(await second.command('CLIENT', 'KILL', 'TYPE', 'normal'), 9);
    for (const [index, client] of clients.entries()) if (index !== 1) await within('an end', client.closed);
    t.equal(await second.command('CLIENT', 'KILL', 'SKIPME', 'no'), 1);
    await within('its own end', second.closed);
    const last = await RespClient.connect(deployment.port);
    await waitFor('all to have gone', async () => (await linesOf(last, 'LIST')).length === 1);
    last.close();
  });
}

t.test('on epoll, clients of a unix socket are listed and killed by its path', async (t) => {
  const socket = `/tmp/ringleader-clients-${process.pid}.sock`;
  const deployment = await deploy(t, { nodes: 1, listen: [`unix:${socket}`] });
  const [client, other] = [await RespClient.connect(socket), await RespClient.connect(socket)];
  const [line] = await linesOf(client, 'LIST');
  t.equal(line?.get('addr'), `${socket}:0`);
  t.equal(line?.get('flags'), 'U');
  t.equal(await client.command('CLIENT', 'KILL', 'ADDR', `${socket}:0`), 1);
  await within('its end', other.closed);
  t.ok(deployment);
  client.close();
});

t.test('a worker that hangs is named in a bounded time, and all is well when it has been replaced', async (t) => {
  const env = { RINGLEADER_TEST_HOOKS: 'hang' };
  const deployment = await deploy(t, { nodes: 1, env, limits: { workerStallTimeoutMs: 8_000 } });
  const clients: RespClient[] = [];
  for (let n = 0; n < 4; n++) clients.push(await RespClient.connect(deployment.port));
  for (const client of clients) await client.command('PING');
  deployment.proxy.signal('SIGUSR2');
  // Those of the hanging worker are not answered any more.
  const refusals = clients.map(async (client) => {
    for (;;) {
      const reply = await client.command('CLIENT', 'LIST');
      if (reply instanceof ReplyError) return { client, reply };
    }
  });
  for (const refusal of refusals) refusal.catch(() => {});
  const { client, reply } = await within('a refusal', Promise.any(refusals), 7_000);
  t.match(String(reply), 'ERR worker 0 did not answer in time: its clients are not known');
  const killed = await client.command('CLIENT', 'KILL', 'TYPE', 'normal');
  t.match(String(killed), /UNKNOWN worker 0 did not answer in time: of the other clients 1 are killed/);
  await deployment.proxy.waitForLog('worker-restarted');
  t.equal((await linesOf(client, 'LIST')).length, 1);
  for (const each of clients) each.close();
});
