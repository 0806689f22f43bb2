/** The steps of a gather without nodes: what is asked of whom, and what an answer of theirs makes of it. */
import t from 'tap';
import { Metrics, metricsMemory } from '../../src/base/metrics.js';
import { type GatherContext, type Gathered, gatherSteps } from '../../src/proxy/gather-steps.js';
import type { NodeAsk } from '../../src/proxy/node-steps.js';
import { command, Plane, wordsIn } from '../help/plane.js';

const SINTER: Gathered = {
  words: ['SINTER', 'a', 'b', 'c'].map((word) => Buffer.from(word)),
  keys: new Map([
    ['a', 0],
    ['b', 1],
    ['c', 2],
  ]),
  writtenOn: -1,
  patterns: [],
  isScript: false,
};
const SINTERSTORE: Gathered = {
  words: ['SINTERSTORE', 'a', 'b', 'c'].map((word) => Buffer.from(word)),
  keys: SINTER.keys,
  writtenOn: 0,
  patterns: [],
  isScript: false,
};

function context(limits: Partial<GatherContext['limits']> = {}): GatherContext {
  return {
    limits: { gatherBytesMax: 1_000, gatherKeysMax: 10, gatherWorkerBytesMax: 2_000, ...limits },
    counts: new Metrics(metricsMemory(1), 0).counts,
    protocol: 2,
    isUserOfNodes: false,
    held: { bytes: 0 },
    placeOf: () => 0,
    labelOf: (node) => `n${node}`,
    sharedWith: null,
    writeWait: () => null,
    hasMoved: () => false,
  };
}

const SIZES: Readonly<Record<number, string>> = { 0: ':10\r\n', 1: ':30\r\n', 2: ':20\r\n' };
const VALUES = '*2\r\n$3\r\nxyz\r\n$1\r\n0\r\n';

/** What the session is told, and the nodes that were asked in each step. `answers`: of a step (from 0) and a node, instead of what is well. */
function carryOut(own: GatherContext, gathered: Gathered, answers: Readonly<Record<string, string>> = {}) {
  const steps = gatherSteps(own, gathered);
  const asked: number[][] = [];
  let replies: Uint8Array[] = [];
  for (let step = 0; ; step++) {
    const { done, value } = steps.next(replies);
    if (done === true) return { reply: Buffer.from(value).toString('latin1'), asked };
    const asks = value as readonly NodeAsk[];
    asked.push(asks.map(({ node }) => node));
    replies = asks.map(({ node }) => {
      const finished = gathered.writtenOn < 0 ? '*3\r\n+OK\r\n*0\r\n:1\r\n' : ':0\r\n';
      const well = [SIZES[node] as string, VALUES, finished][step] as string;
      return Buffer.from(answers[`${step} ${node}`] ?? well, 'latin1');
    });
  }
}

t.test('a read goes to the node that has most, and a write to that of the key that it writes', async (t) => {
  t.same(carryOut(context(), SINTER), { reply: '*0\r\n', asked: [[0, 1, 2], [0, 2], [1]] });
  t.same(carryOut(context(), SINTERSTORE), { reply: ':0\r\n', asked: [[1, 2], [1, 2], [0]] });
});

t.test('what a node cannot do is told with its name, and what is held is given back', async (t) => {
  const bytes = 'the keys that this command reads on other nodes take';
  for (const [gathered, answers, expected] of [
    [SINTER, { '0 2': '-NOPERM no\r\n' }, '-NOPERM no (from node n2; the command had no effect)\r\n'],
    [SINTER, { '0 2': '-NODEDOWN node n2: gone\r\n' }, '-NODEDOWN node n2: gone\r\n'],
    [
      SINTER,
      { '1 0': '-LOADING Redis is loading\r\n' },
      '-LOADING Redis is loading (from node n0; the command had no effect)\r\n',
    ],
    [SINTER, { '0 1': ':3000\r\n', '0 2': ':2000\r\n' }, /^-OVERLOADED .* take \d+ bytes \(gatherBytesMax 1000\)/],
    [
      SINTER,
      { '1 2': ':2000\r\n' },
      `-OVERLOADED ${bytes} 2000 bytes (gatherBytesMax 1000); the command had no effect\r\n`,
    ],
    [
      SINTER,
      { '2 1': '-ERR unknown command\r\n' },
      '-ERR unknown command (from node n1; the command had no effect)\r\n',
    ],
    [
      SINTER,
      { '2 1': '*3\r\n*2\r\n:2\r\n$11\r\nERR version\r\n*0\r\n:0\r\n' },
      "-ERR version (from node n1, which was to have 'c' for this command; it had no effect)\r\n",
    ],
    [SINTER, { '2 1': '*3\r\n*1\r\n:0\r\n*0\r\n:0\r\n' }, /^-ERR node n1 has a key '~rl:gather' of another layout/],
    [SINTER, { '2 1': '*3\r\n*1\r\n:1\r\n*0\r\n:0\r\n' }, /^-ERR node n1 has a key 'a' of another layout/],
    [
      SINTER,
      { '2 1': '*3\r\n-ERR script\r\n*0\r\n:0\r\n' },
      '-ERR script (from node n1; the command had no effect)\r\n',
    ],
    [
      SINTER,
      { '2 1': '*3\r\n+OK\r\n*0\r\n-ERR stuck\r\n' },
      '-ERR node n1 did not take away the copies that it was brought for this command: ERR stuck\r\n',
    ],
    [SINTER, { '2 1': '*3\r\n+OK\r\n-WRONGTYPE no set\r\n:1\r\n' }, '-WRONGTYPE no set\r\n'],
    [SINTERSTORE, { '2 0': '*1\r\n:2\r\n' }, /^-ERR node n0 has a key 'c' of another layout/],
    [SINTERSTORE, { '2 0': '-WRONGTYPE no set\r\n' }, '-WRONGTYPE no set\r\n'],
    [SINTERSTORE, { '2 0': '-UNKNOWN node n0\r\n' }, '-UNKNOWN node n0\r\n'],
  ] as const) {
    const own = context();
    const { reply } = carryOut(own, gathered, answers);
    const what = JSON.stringify(answers);
    if (typeof expected === 'string') t.equal(reply, expected, what);
    else t.match(reply, expected, what);
    t.equal(own.held.bytes, 0, what);
  }
});

t.test('where services share nodes, a key in the way may be one of the other, and is not to be deleted', async (t) => {
  const { reply } = carryOut({ ...context(), sharedWith: 'shop' }, SINTER, { '2 1': '*3\r\n*1\r\n:1\r\n*0\r\n:0\r\n' });
  t.match(
    reply,
    /^-ERR node n1 has a key 'a' of the service shop, or of another layout, .*had no effect. Give the services/,
  );
  t.notMatch(reply, /[Dd]elete/);
});

t.test('what nodes may give beyond what they said is divided among them', async (t) => {
  const steps = gatherSteps(context({ gatherBytesMax: 100 }), SINTER);
  steps.next([]);
  const { value } = steps.next([0, 1, 2].map((node) => Buffer.from(SIZES[node] as string)));
  const rooms = (value as readonly NodeAsk[]).map(({ frame }) =>
    wordsIn(Buffer.from(frame).toString('latin1'))[0]?.at(-1),
  );
  t.same(rooms, ['45', '55'], '10 and 20 were said, and 70 are left');
});

t.test('of SORT the elements that name keys are counted at the node', async (t) => {
  const sort: Gathered = {
    words: ['SORT', 'list', 'BY', 'w_*'].map((word) => Buffer.from(word)),
    keys: new Map([['list', 0]]),
    writtenOn: -1,
    patterns: [Buffer.from('w_*')],
    isScript: false,
  };
  const { reply } = carryOut(context(), sort, { '0 0': '+MORE\r\n' });
  t.match(reply, /^-OVERLOADED what this command sorts has more elements that name keys than gatherKeysMax 10; /);
});

t.test('small values come with the first answers, and only large ones are asked for', async (t) => {
  const roomy = { gatherBytesMax: 1_000_000, gatherWorkerBytesMax: 2_000_000 };
  const own = context(roomy);
  t.same(carryOut(own, SINTER, { '0 0': VALUES, '0 2': VALUES, '1 1': '*3\r\n+OK\r\n*0\r\n:1\r\n' }).asked, [
    [0, 1, 2],
    [1],
  ]);
  t.equal(own.counts.gatheredBytes, 6);
  t.same(carryOut(own, SINTER, { '0 0': VALUES }).asked, [[0, 1, 2], [2], [1]]);
  t.same(carryOut(own, SINTERSTORE, { '0 1': VALUES, '0 2': VALUES, '1 0': ':0\r\n' }).asked, [[1, 2], [0]]);
  t.equal(own.held.bytes, 0);
  for (const [limits, few] of [
    [roomy, '131072'],
    [{ ...roomy, gatherBytesMax: 300_000 }, '0'],
    [{ ...roomy, gatherWorkerBytesMax: 700_000 }, '0'],
  ] as const) {
    const asking = context(limits);
    const steps = gatherSteps(asking, SINTER);
    const { value } = steps.next([]);
    const asks = (value as readonly NodeAsk[]).map(({ frame }) =>
      wordsIn(Buffer.from(frame).toString('latin1'))[0]?.at(-1),
    );
    t.same(asks, [few, few, few], 'where there is little room only sizes are asked for');
    t.equal(asking.held.bytes, few === '0' ? 0 : 3 * 131_072);
    steps.return(new Uint8Array());
    t.equal(asking.held.bytes, 0);
  }
});

t.test('what others hold leaves less room, and a gather alone has all of it', async (t) => {
  const own = context({ gatherBytesMax: 100, gatherWorkerBytesMax: 100 });
  const first = gatherSteps(own, SINTER);
  first.next([]);
  first.next([0, 1, 2].map((node) => Buffer.from(SIZES[node] as string)));
  t.equal(own.held.bytes, 30, 'as much as the two smaller ones are said to take');
  const { reply } = carryOut(own, SINTER, { '0 0': ':40\r\n', '0 1': ':50\r\n', '0 2': ':40\r\n' });
  t.match(
    reply,
    /^-OVERLOADED other commands hold 30 bytes of what they read on other nodes, and this one takes 80 \(gatherWorkerBytesMax 100\)/,
  );
  t.equal(own.counts.gathersRefused, 1);
  t.equal(own.counts.commandsOverloaded, 1);
  first.return(new Uint8Array());
  t.equal(own.held.bytes, 0, 'the session is gone');
  t.equal(carryOut(own, SINTER, { '0 0': ':40\r\n', '0 1': ':50\r\n', '0 2': ':40\r\n' }).reply, '*0\r\n');
  t.equal(own.counts.gathers, 1);
  t.equal(own.counts.gatheredBytes, 6);
});

t.test('a name that stands twice is brought once, and later commands of the session wait', async (t) => {
  const world = new Plane({ nodes: 2 }).greetAll();
  const client = world.client();
  const [a, b] = [world.key(0), world.key(1)];
  client.send(['SINTER', a, b, a, b], ['PING'], ['GET', a]);
  world.turn();
  const asked = [0, 1].map((node) => wordsIn(world.only(node).take()));
  t.same(
    asked.map((commands) => commands.map(([name, , count, ...keys]) => [name, count, ...keys])),
    [[['EVAL', '1', a, '131072']], [['EVAL', '1', b, '131072']]],
  );
  world.only(0).answer(':100\r\n');
  world.only(1).answer(':10\r\n');
  world.turn();
  t.same(
    wordsIn(world.only(1).take()).map((words) => words.slice(2)),
    [['1', b, String(64 * 1024 * 1024)]],
  );
  world.only(1).answer(VALUES);
  world.turn();
  const last = wordsIn(world.only(0).take());
  t.same(
    last.map(([name]) => name),
    ['MULTI', 'EVAL', 'SINTER', 'EVAL', 'EXEC'],
  );
  t.same(last[2], ['SINTER', a, b, a, b]);
  world.only(0).answer('+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n');
  world.turn();
  t.equal(client.take(), '');
  world.only(0).answer('*3\r\n+OK\r\n*1\r\n$1\r\nm\r\n:1\r\n');
  world.turn();
  t.equal(client.take(), '*1\r\n$1\r\nm\r\n+PONG\r\n');
  t.equal(world.only(0).take(), command('GET', a));
});

t.test('why a node queues no command of it is what the client is told', async (t) => {
  const world = new Plane({ nodes: 2 }).greetAll();
  const client = world.client();
  const [a, b] = [world.key(0), world.key(1)];
  client.send(['LCS', a, b]);
  world.turn();
  const answer = (node: number, ...replies: string[]) => {
    t.not(world.only(node).take(), '');
    world.only(node).answer(...replies);
    world.turn();
  };
  answer(0, ':100\r\n');
  answer(1, ':10\r\n');
  answer(1, VALUES);
  const refused = "-ERR unknown command 'LCS'\r\n";
  answer(0, '+OK\r\n', '+QUEUED\r\n', refused, '+QUEUED\r\n', '-EXECABORT Transaction discarded\r\n');
  t.equal(client.take(), "-ERR unknown command 'LCS' (from node node-0; the command had no effect)\r\n");
});
