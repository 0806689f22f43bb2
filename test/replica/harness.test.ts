/**
 * The harness that tries replicated keys on real servers, tried itself: it passes where one Redis server has every key, and it
 * fails where answers are wrong.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Cluster } from '../help/cluster.js';
import { keyModel } from '../help/key-model.js';
import { historyFaults } from '../help/minimal-history.js';
import { Nemesis } from '../help/nemesis.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReply } from '../help/reference-parser.js';
import { RespClient } from '../help/resp-client.js';
import { type Kind, Workload } from '../help/workload.js';

const CLIENTS = 20;
/** The more there are, the more of what is wrong is nobody's business: a write that is lost, and overwritten. */
const FEW_CLIENTS = 4;
/**
 * Whether anybody sees what is wrong is chance: of those below, what is seen least often is missed in one of twenty rounds of so many
 * calls. So there are rounds until it is seen, up to one that none of them gets to.
 */
const ROUND_CALLS = 2_000;
const ROUNDS_MAX = 20;
const RAGE_MS = 6_000;
/** Not every fault leaves calls unknown, nor without effect: chance has some of each kind come sooner or later. */
const RAGES_MAX = 10;
/** Expiry is decided by clocks in milliseconds, and by a server that looks at its own now and then. */
const SKEW_MS = 50;

t.test('one Redis server behind two proxies is linearizable, whatever is done to it', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const cluster = await Cluster.start(t, { nodes: 1, proxies: 2, keyspace: { mode: 'sharded' } });
  const workload = new Workload({ clients: CLIENTS, ports: () => cluster.ports(), random });
  const nemesis = new Nemesis(cluster, workload, random);
  workload.start();
  t.teardown(() => workload.halt());
  await workload.goesOn('at the start', 20_000);
  const { counts } = workload;
  for (let rages = 0; rages < RAGES_MAX && (counts.unknown === 0 || counts.failed === 0); rages++)
    await nemesis.rage(RAGE_MS);
  await workload.halt();
  await nemesis.readAll(workload);
  for (const phase of nemesis.phases) t.comment(phase);
  const { answered, unknown, failed } = counts;
  t.ok(unknown > 0 && failed > 0, `${answered} answered, ${unknown} unknown, ${failed} without effect`);
  t.same(workload.wrong, []);
  t.same(
    historyFaults(workload.calls, (calls) => keyModel(calls, { skewMs: SKEW_MS })),
    [],
  );
});

/** What a proxy of such a kind does wrong, now and then: it answers in place of the server, or asks it again. */
type Wrong = (words: string[], ask: (words: string[]) => Promise<string>, last: Map<string, string>) => Promise<string>;

const WRONG: Record<string, { kinds: Kind[]; wrong: Wrong }> = {
  'a read that is stale': {
    kinds: ['register'],
    wrong: async (words, ask, last) =>
      words[0] === 'GET' ? (last.get(words[1] as string) ?? (await ask(words))) : ask(words),
  },
  'a write that is acknowledged and not carried out': {
    kinds: ['register'],
    wrong: async (words, ask) => (words[0] === 'SET' ? '+OK\r\n' : ask(words)),
  },
  'an increment that is carried out twice': {
    kinds: ['counter'],
    wrong: async (words, ask) => {
      const reply = await ask(words);
      if (words[0] === 'INCR') await ask(words);
      return reply;
    },
  },
  'a push that is lost': {
    kinds: ['list'],
    wrong: async (words, ask, last) => (words[0] === 'RPUSH' ? (last.get(`${words[1]} push`) ?? ':1\r\n') : ask(words)),
  },
  'a lock that two clients get': {
    kinds: ['lock'],
    wrong: async (words, ask) => (words[0] === 'SET' ? '+OK\r\n' : ask(words)),
  },
  'compare and set that does not compare': {
    kinds: ['cas'],
    wrong: async (words, ask) => {
      if (words[0] !== 'EVAL') return ask(words);
      await ask(['SET', words[3] as string, words[5] as string]);
      return ':1\r\n';
    },
  },
  'an error that says there was no effect, and there was': {
    kinds: ['register', 'counter'],
    wrong: async (words, ask) => {
      await ask(words);
      return '-NODEDOWN node a: the command had no effect\r\n';
    },
  },
  'an expired value that is back': {
    kinds: ['lease'],
    wrong: async (words, ask, last) =>
      words[0] === 'GET' ? (last.get(words[1] as string) ?? (await ask(words))) : ask(words),
  },
};

for (const [name, { kinds, wrong }] of Object.entries(WRONG)) {
  t.test(`caught: ${name}`, async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    const server = await RedisServer.start();
    t.teardown(() => server.stop());
    const port = await startWrongProxy(t, server.port, wrong, random);
    const workload = new Workload({ clients: FEW_CLIENTS, ports: () => [port], random, kinds });
    t.teardown(() => workload.halt());
    let faults: string[] = [];
    let rounds = 0;
    for (; faults.length === 0 && rounds < ROUNDS_MAX; rounds++) {
      workload.start();
      await workload.answers('enough calls', ROUND_CALLS, 60_000);
      await workload.halt();
      await workload.read(workload.keys());
      faults = historyFaults(workload.calls, (calls) => keyModel(calls, { skewMs: SKEW_MS }));
    }
    t.match(faults[0] ?? '', /not linearizable/, `after ${rounds} rounds`);
    t.comment(faults[0] ?? '');
  });
}

/** A proxy for one Redis server that is right but for every fiftieth command or so. */
async function startWrongProxy(t: Test, serverPort: number, wrong: Wrong, random: Random): Promise<number> {
  const last = new Map<string, string>();
  const serve = async (socket: Socket) => {
    socket.on('error', () => {});
    const server = await RespClient.connect(serverPort);
    socket.on('close', () => server.close());
    const ask = async (words: string[]) => (await server.raw(...words)).toString('latin1');
    let received = Buffer.alloc(0);
    let turn = Promise.resolve();
    const answer = async (words: string[]) => {
      const reply = random.below(50) === 0 ? await wrong(words, ask, last) : await ask(words);
      // An old one stays for a while.
      if (words[0] === 'GET' && random.below(20) === 0) last.set(words[1] as string, reply);
      if (words[0] === 'RPUSH') last.set(`${words[1]} push`, reply);
      socket.write(reply, 'latin1');
    };
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      for (let parsed = parseReply(received); parsed !== null; parsed = parseReply(received)) {
        const words = parsed.value as string[];
        received = received.subarray(parsed.end);
        turn = turn.then(() => answer(words)).catch(() => void socket.destroy());
      }
    });
  };
  const listener = createServer((socket) => void serve(socket));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const sockets = new Set<Socket>();
  listener.on('connection', (socket) => sockets.add(socket));
  t.teardown(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  return (listener.address() as AddressInfo).port;
}
