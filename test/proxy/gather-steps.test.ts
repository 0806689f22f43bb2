/** The steps of a gather without nodes: what is asked of whom, and what an answer of theirs makes of it. */
import t from 'tap';
import { Metrics, metricsMemory } from '../../src/base/metrics.js';
import { type GatherContext, type Gathered, gatherSteps } from '../../src/proxy/gather-steps.js';
import type { NodeAsk } from '../../src/proxy/node-steps.js';
import { bulk, command, Plane, wordsIn } from '../help/plane.js';

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

/** SORT of a list on node 0, whose keys `b…` lie on node 1 and others on node 0: its answers by step and place. */
function sort(own: GatherContext, text: string, ...answers: readonly (readonly string[])[]) {
  const words = text.split(' ').map((word) => Buffer.from(word));
  const isWrite = text.includes('STORE');
  const sorted: Gathered = {
    ...{ words, keys: new Map([['list', 0]]), writtenOn: isWrite ? 2 : -1 },
    ...{ patterns: [Buffer.from('b*')], isScript: false },
  };
  const steps = gatherSteps({ ...own, placeOf: (key) => (key[0] === 0x62 ? 1 : 0) }, sorted);
  const asked: (readonly [number, readonly string[]])[][] = [];
  let replies: Uint8Array[] = [];
  for (let step = 0; ; step++) {
    const { done, value } = steps.next(replies);
    if (done === true) return { reply: Buffer.from(value).toString('latin1'), asked };
    const asks = value as readonly NodeAsk[];
    asked.push(
      asks.map(({ node, frame }) => {
        const [all = []] = wordsIn(Buffer.from(frame).toString('latin1'));
        return [node, all[0] === 'EVAL' ? all.slice(2) : all] as const;
      }),
    );
    replies = asks.map((_, at) => Buffer.from(answers[step]?.[at] ?? '+NONE\r\n', 'latin1'));
  }
}

const LIST = `*3\r\n${['x', 'y', 'z'].map(bulk).join('')}`;
const ROOMY = { gatherBytesMax: 1_000_000, gatherWorkerBytesMax: 2_000_000 };

t.test('SORT asks each node once for what patterns name, and puts plain numbers in order itself', async (t) => {
  const own = context(ROOMY);
  const values = [`*3\r\n${bulk('2')}${bulk('10')}$-1\r\n`, `*6\r\n${bulk('X')}_\r\n${bulk('Y')}_\r\n_\r\n_\r\n`];
  const command = 'SORT list BY b* GET # GET a*->f GET no LIMIT 0 2 DESC GET b* GET a*->g';
  const { reply, asked } = sort(own, command, ['*0\r\n', LIST], values);
  t.equal(
    reply,
    `*10\r\n${bulk('y')}${bulk('Y')}$-1\r\n${bulk('10')}$-1\r\n${bulk('x')}${bulk('X')}$-1\r\n${bulk('2')}$-1\r\n`,
  );
  const options = [
    'BY',
    'b*',
    'GET',
    '#',
    'GET',
    'a*->f',
    'GET',
    'no',
    'LIMIT',
    '0',
    '2',
    'DESC',
    'GET',
    'b*',
    'GET',
    'a*->g',
  ];
  t.same(asked, [
    [
      [0, ['SORT_RO', '~rl:sorted', ...options]],
      [0, ['1', 'list', '1000000', '10', 'all', '0', '-1', 'DESC', 'LIMIT', '0', '2']],
    ],
    [
      [1, ['3', 'bx', 'by', 'bz', '131072', '1000000', '3', '0']],
      [0, ['3', 'ax', 'ay', 'az', '131072', '1000000', '3', '2', 'f', 'g']],
    ],
  ]);
  t.same([own.held.bytes, own.counts.gathers, own.counts.gatheredBytes], [0, 1, reply.length]);
});

t.test('SORT has a node put in order what is no plain number, by copies of the weights', async (t) => {
  const weights = `*3\r\n${bulk('1e1')}$-1\r\n${bulk('3')}`;
  const own = context(ROOMY);
  const { reply, asked } = sort(
    own,
    'SORT list BY b* LIMIT 1 5',
    ['*0\r\n', LIST],
    [weights],
    [`*2\r\n${bulk('z')}${bulk('x')}`],
  );
  t.equal(reply, `*2\r\n${bulk('z')}${bulk('x')}`);
  const placed = ['x', 'y', 'z', '~rl:sorted:x', '1e1', '~rl:sorted:z', '3'];
  t.same(asked[2], [[0, ['0', '3', '4', ...placed, 'BY', '~rl:sorted:*', 'LIMIT', '1', '5']]]);
  const plain = `*3\r\n${bulk('1')}${bulk('2')}${bulk('3')}`;
  const stored = sort(own, 'SORT list ALPHA BY b* STORE dest', ['*0\r\n', LIST], [plain], [LIST], [':3\r\n']);
  t.equal(stored.reply, ':3\r\n');
  t.same(stored.asked[2]?.[0]?.[1].slice(-7), ['~rl:sorted:*', 'ALPHA', 'LIMIT', '0', '-1', 'STORE', '~rl:sorted']);
  t.same(stored.asked[3], [[2, ['0', 'dest', 'x', 'y', 'z']]]);
  for (const [answer, expected] of [
    [
      "-ERR One or more scores can't be converted into double\r\n",
      "-ERR One or more scores can't be converted into double\r\n",
    ],
    ['-NOPERM no\r\n', '-NOPERM no (from node n0; the command had no effect)\r\n'],
    ['*1\r\n:1\r\n', /^-ERR node n0 has a key '~rl:sorted' of another layout/],
    ['*1\r\n:2\r\n', /^-ERR node n0 has a key '~rl:sorted:\*' of another layout/],
    [
      '*2\r\n:2\r\n$3\r\nOOM\r\n',
      "-OOM (from node n0, which was to have '~rl:sorted:*' for this command; it had no effect)\r\n",
    ],
  ] as const) {
    const { reply } = sort(own, 'SORT list BY b*', ['*0\r\n', LIST], [weights], [answer]);
    if (typeof expected === 'string') t.equal(reply, expected);
    else t.match(reply, expected);
  }
  t.equal(own.held.bytes, 0);
});

t.test('SORT is asked again for what is large, and refused what is too much', async (t) => {
  const own = context({ gatherBytesMax: 300_000 });
  const first = ['*0\r\n', LIST];
  const large = `*3\r\n${bulk('v'.repeat(80_000))}$-1\r\n$-1\r\n`;
  const { reply, asked } = sort(own, 'SORT list GET b*', first, [':80000\r\n'], [large]);
  t.equal(reply.length, large.length);
  t.same(asked[1]?.[0]?.[1].slice(4), ['0', '300000', '3', '0'], 'where there is little room nothing comes unasked');
  t.same(asked[2]?.[0]?.[1].slice(4), ['299975', '299975', '3', '0']);
  const bytes = 'the keys that this command reads on other nodes take';
  for (const [expected, ...answers] of [
    [`${bytes} 300105 bytes`, first, [':300080\r\n']],
    [`${bytes} 300500 bytes`, first, [':200\r\n'], [':300500\r\n']],
    [`${bytes} 320075 bytes`, first, [':160010\r\n'], [large.replaceAll('v', 'vv').replace('80000', '160000')]],
    ['what this command sorts has more elements that name keys than gatherKeysMax 10', ['*0\r\n', '+MORE\r\n']],
    [`${bytes} 400000 bytes`, ['*0\r\n', ':400000\r\n']],
    ['the keys that this command reads are more than gatherKeysMax 10', ['*0\r\n', `*11\r\n${bulk('e').repeat(11)}`]],
  ] as const) {
    t.match(sort(own, 'SORT list GET b*', ...answers).reply, `-OVERLOADED ${expected}`);
    t.equal(own.held.bytes, 0);
  }
  for (const [expected, ...answers] of [
    ['-ERR syntax error\r\n', ['-ERR syntax error\r\n', '-ERR script\r\n']],
    ['-WRONGTYPE no list\r\n', ['*0\r\n', '-WRONGTYPE no list\r\n']],
    ['-NODEDOWN node n0: gone\r\n', ['-NODEDOWN node n0: gone\r\n', '-NODEDOWN node n0: gone\r\n']],
    ['-LOADING no (from node n1; the command had no effect)\r\n', first, ['-LOADING no\r\n']],
    ['-LOADING no (from node n1; the command had no effect)\r\n', first, [':90\r\n'], ['-LOADING no\r\n']],
    ['*0\r\n', ['*0\r\n', '*0\r\n']],
  ] as const) {
    t.equal(sort(own, 'SORT list GET b*', ...answers).reply, expected);
    t.equal(own.held.bytes, 0);
  }
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

t.test('SORT whose keys have one hash tag goes to their node as it is', async (t) => {
  const world = new Plane({ nodes: 2 }).greetAll();
  const client = world.client();
  const [list, dest, tag, other] = [
    world.key(0, 'list'),
    world.key(0, 'dest'),
    world.key(0, 'tag'),
    world.key(1, 'tag'),
  ];
  for (const words of [
    ['SORT', list, 'BY', `{${tag}}w_*`, 'GET', `{${tag}}*->f`, 'GET', '#'],
    ['SORT', list, 'BY', `{${tag}}w_*`, 'STORE', dest],
    ['SORT_RO', list, 'GET', `{${tag}}*{${other}}`],
  ]) {
    client.send(words);
    world.turn();
    t.equal(world.only(0).take(), command(...words));
    world.only(0).answer('*0\r\n');
    world.turn();
    t.equal(client.take(), '*0\r\n');
  }
  for (const words of [
    ['SORT', list, 'BY', `{${tag}}w_*`, 'GET', `{${other}}*`],
    ['SORT', list, 'BY', 'w_*'],
    ['SORT', list, 'BY', `{${tag}}w_*`, 'STORE', other],
  ]) {
    client.send(words);
    world.turn();
    t.same(
      wordsIn(world.only(0).take()).map(([name]) => name),
      ['SORT_RO', 'EVAL'],
    );
    world.only(0).answer('-ERR syntax error\r\n', '-ERR\r\n');
    world.turn();
    t.equal(client.take(), '-ERR syntax error\r\n');
  }
});

t.test('PFCOUNT is carried out by one script, which answers its number', async (t) => {
  const world = new Plane({ nodes: 2 }).greetAll();
  const client = world.client();
  const [a, b] = [world.key(0), world.key(1)];
  for (const [answer, expected] of [
    [':3\r\n', /^:3\r\n$/],
    ['-WRONGTYPE no\r\n', /^-WRONGTYPE no\r\n$/],
    ['*1\r\n:1\r\n', /^-ERR node node-0 has a key '.*' of another layout/],
  ] as const) {
    client.send(['PFCOUNT', a, b]);
    world.turn();
    for (const node of [0, 1]) world.only(node).take();
    world.only(0).answer(':100\r\n');
    world.only(1).answer(VALUES);
    world.turn();
    const [words = [], ...others] = wordsIn(world.only(0).take());
    t.same([words[0], ...words.slice(2)], ['EVAL', '0', '1', b, 'xyz', '0', 'PFCOUNT', a, b]);
    t.same(others, []);
    world.only(0).answer(answer);
    world.turn();
    t.match(client.take(), expected);
  }
});
