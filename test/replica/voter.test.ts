/** What a worker sends to one node in which pieces, and what it makes of the answers: by a connection that is said by calls. */
import t from 'tap';
import type { NodeChannels } from '../../src/backend/node-channels.js';
import { type Pending, PendingPool, type ReplyOwner } from '../../src/backend/pending.js';
import type { PrivateConnection } from '../../src/backend/private-connection.js';
import { DEFAULT_NODE_LIMITS, type NodeLimits } from '../../src/base/limits.js';
import { Metrics, metricsMemory } from '../../src/base/metrics.js';
import { makeBallot, NEVER, proposerNumber } from '../../src/replica/ballot.js';
import type { Commands, Replies, Value } from '../../src/replica/commands.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import type { Asker } from '../../src/replica/round.js';
import { ACCEPT_EACH, VIEW } from '../../src/replica/scripts.js';
import type { Answer, Step } from '../../src/replica/step.js';
import { StepFrames } from '../../src/replica/step-frames.js';
import { Voter } from '../../src/replica/voter.js';
import { bulkReply } from '../../src/resp/reply.js';
import { FakeTransport } from '../help/fake-transport.js';
import { memberRecord } from '../help/replica-node.js';

const PROCESS = { runId: 'a'.repeat(40), replId: 'b'.repeat(40) };
const RECORD = memberRecord(PROCESS, { name: 'a' });
const BALLOT = makeBallot(0, 1, proposerNumber(0, 1));
const OK = '$1\r\nK\r\n';

class World {
  readonly transport = new FakeTransport();
  /** Frames that were sent and are not answered, oldest first. */
  readonly sent: { text: string; pending: Pending }[] = [];
  readonly told: [string, Answer<Replies, Value> | null][] = [];
  /** Scripts that the node was told. */
  loads = 0;
  private readonly voter: Voter;
  private readonly connection: object;
  private readonly reply = this.transport.arena.allocate(4096);
  /** Those that have something to send at the end of the turn. */
  private due: Voter[] = [];

  constructor(limits: Partial<NodeLimits> = {}) {
    const { transport, sent } = this;
    this.connection = {
      isReady: true,
      connect: () => {},
      breakOff: () => {},
      tell: () => this.loads++,
      send: (pending: Pending, start: number, end: number) => {
        sent.push({ text: Buffer.from(transport.arena.bytes.slice(start, end)).toString('latin1'), pending });
        return null;
      },
    };
    const channels = {
      wanted: { name: 'a', label: 'a', limits: { ...DEFAULT_NODE_LIMITS, ...limits } },
      privates: { keep: () => this.connection, onLost: () => {} },
    };
    this.voter = new Voter(
      {
        transport,
        pendings: new PendingPool(),
        random: () => 0,
        counts: new Metrics(metricsMemory(1), 0).counts,
        frames: new StepFrames(transport.arena),
        scripts: [],
        onWake: () => {},
        onBatch: (voter) => this.due.push(voter),
        onUnanswered: () => {},
        onStanding: () => {},
      },
      channels as unknown as NodeChannels,
    );
    this.voter.open();
    this.voter.onReady();
    this.becomeMember();
    this.loads = 0;
  }

  /** The node answers who looks whether it is a member. */
  becomeMember(): void {
    const info = `role:master\r\nconnected_slaves:0\r\nrun_id:${PROCESS.runId}\r\nmaster_replid:${PROCESS.replId}\r\n`;
    const { pending } = this.sent.shift() as (typeof this.sent)[number];
    const owner = pending.owner as ReplyOwner;
    this.put('%1\r\n$20\r\nenable-debug-command\r\n$2\r\nno\r\n', (start, end) =>
      owner.onPrelude(pending, 0, start, end),
    );
    this.put(`*2\r\n${bulkReply(info)}${bulkReply(RECORD)}`, (start, end) => owner.onReply(pending, start, end));
  }

  ask(key: string, step: Step<Commands, Value> = accept(key)): void {
    const asker = {
      key,
      onAnswer: (_copy: number, _tag: number, answer: Answer<Replies, Value> | null) => this.told.push([key, answer]),
    };
    this.voter.ask(asker as unknown as Asker<Replies, Value>, 0, 0, step);
  }

  endTurn(): void {
    const { due } = this;
    this.due = [];
    for (const voter of due) voter.onTurnEnd();
  }

  /** To the oldest. */
  answer(reply: string): void {
    const { pending } = this.sent.shift() as (typeof this.sent)[number];
    this.put(reply, (start, end) => (pending.owner as ReplyOwner).onReply(pending, start, end));
  }

  /** All replies to the oldest, which has several. */
  answerInOrder(pending: Pending, replies: readonly string[]): void {
    this.sent.shift();
    const owner = pending.owner as ReplyOwner;
    for (const [place, reply] of replies.entries()) {
      const isLast = place === replies.length - 1;
      this.put(reply, (start, end) => {
        if (isLast) owner.onReply(pending, start, end);
        else owner.onPrelude(pending, place, start, end);
      });
    }
  }

  push(): void {
    this.put('>2\r\n$10\r\ninvalidate\r\n*1\r\n$8\r\n~rl:node\r\n', (start, end) => {
      this.voter.onPush(this.connection as PrivateConnection, start, end);
    });
  }

  /** The connection goes. */
  lose(): void {
    this.voter.onLost(this.connection as PrivateConnection, new Error('lost'));
    for (const { pending } of this.sent.splice(0)) (pending.owner as ReplyOwner).onFailure(pending, Buffer.alloc(0));
    this.voter.tellUnanswered();
  }

  tellUnanswered(): void {
    this.voter.tellUnanswered();
  }

  private put(text: string, show: (start: number, end: number) => void): void {
    this.transport.arena.bytes.set(Buffer.from(text, 'latin1'), this.reply);
    show(this.reply, this.reply + text.length);
  }
}

function accept(key: string, length = 1): Step<Commands, Value> {
  const list = [['SET', key, 'v'.repeat(length)].map((word) => Buffer.from(word))];
  const expected = { accepted: NEVER, lineage: NO_LINEAGE, live: false, expireAt: 0 };
  return {
    kind: 'accept',
    ballot: BALLOT,
    base: NEVER,
    expected,
    lineage: NO_LINEAGE,
    expired: false,
    commands: { list, protocol: 2 },
    setsExpiry: 0,
    next: BALLOT,
  };
}

/** Keys of a call, in order. */
function keysOf(text: string): string[] {
  t.match(text, ACCEPT_EACH.sha);
  const words = [...text.matchAll(/\r\n\$\d+\r\n(.*?)(?=\r\n)/g)].map(([, word]) => word as string);
  // EVALSHA, sha, 0 and the record; then of each what is expected, what is to be, the key and the value.
  return words.slice(4).filter((_, place) => place % 4 === 2);
}

function kinds({ told }: World): string[] {
  return told.map(([key, answer]) => `${key} ${answer?.kind ?? 'none'}`);
}

t.test('writes of one turn go to a node as one call, and each has its own answer', async (t) => {
  const world = new World();
  for (const key of ['one', 'two', 'three']) world.ask(key);
  t.equal(world.sent.length, 0);
  world.endTurn();
  t.same(
    world.sent.map(({ text }) => keysOf(text)),
    [['one', 'two', 'three']],
  );
  t.match(world.sent[0]?.text, RECORD);
  world.answer(`*3\r\n${OK}$1\r\nS\r\n-OOM none left\r\n`);
  t.same(kinds(world), ['one ok', 'two stale', 'three unable']);
});

t.test('while a node has two calls to do, what comes waits and becomes one', async (t) => {
  const world = new World();
  for (const key of ['one', 'two', 'three', 'four']) {
    world.ask(key);
    world.endTurn();
  }
  t.same(
    world.sent.map(({ text }) => keysOf(text)),
    [['one'], ['two']],
  );
  world.answer(`*1\r\n${OK}`);
  world.endTurn();
  t.same(
    world.sent.map(({ text }) => keysOf(text)),
    [['two'], ['three', 'four']],
  );
});

t.test('while a node has a call to do, what comes waits until it is no less than that one', async (t) => {
  const world = new World();
  for (const key of ['one', 'two']) world.ask(key);
  world.endTurn();
  world.ask('three');
  world.endTurn();
  t.equal(world.sent.length, 1);
  world.ask('four');
  world.endTurn();
  t.same(
    world.sent.map(({ text }) => keysOf(text)),
    [
      ['one', 'two'],
      ['three', 'four'],
    ],
  );
  world.answer(OK);
  world.answer(OK);
  t.same(kinds(world), ['one ok', 'two ok', 'three ok', 'four ok'], 'said of all at once');
  world.ask('five');
  world.endTurn();
  t.same(keysOf(world.sent[0]?.text as string), ['five'], 'who has nothing to do does it at once');
});

t.test('what waits for a call goes when that is answered, however little it is', async (t) => {
  const world = new World();
  for (const key of ['one', 'two']) world.ask(key);
  world.endTurn();
  world.ask('three');
  world.endTurn();
  world.answer(OK);
  world.endTurn();
  t.same(
    world.sent.map(({ text }) => keysOf(text)),
    [['three']],
  );
});

t.test('a call has so many writes, and bytes, and what is larger goes alone at once', async (t) => {
  const world = new World();
  for (let count = 0; count < 100; count++) world.ask(`${count}`);
  t.same(
    world.sent.map(({ text }) => keysOf(text).length),
    [64],
  );
  world.answer(OK);
  world.endTurn();
  t.same(
    world.sent.map(({ text }) => keysOf(text).length),
    [36],
  );
  for (let count = 0; count < 40; count++) world.ask(`${count}`, accept(`${count}`, 3000));
  t.ok(world.sent.every(({ text }) => text.length < 64 * 1024));
  t.equal(world.sent.length, 3);
  world.ask('large', accept('large', 100_000));
  t.same(keysOf(world.sent.at(-1)?.text ?? ''), ['large']);
});

t.test('what is asked of a key comes after what is to be written to it', async (t) => {
  const world = new World();
  for (const key of ['one', 'two']) {
    world.ask(key);
    world.endTurn();
  }
  world.ask('three');
  world.endTurn();
  world.ask('other', { kind: 'peek' });
  t.equal(world.sent.length, 3, 'of other keys it need not wait');
  world.ask('three', { kind: 'peek' });
  t.same(keysOf(world.sent[3]?.text ?? ''), ['three']);
  t.equal(world.sent.length, 5);
});

t.test('a node that knows no scripts is told once, and asked again', async (t) => {
  const world = new World();
  for (const key of ['one', 'two']) world.ask(key);
  world.endTurn();
  world.answer('-NOSCRIPT No matching script. Please use EVAL.\r\n');
  t.same(world.told, []);
  const { loads } = world;
  t.ok(loads > 0);
  world.endTurn();
  t.same(
    world.sent.map(({ text }) => keysOf(text)),
    [['one', 'two']],
  );
  world.answer('-NOSCRIPT No matching script. Please use EVAL.\r\n');
  t.same(kinds(world), ['one unable', 'two unable']);
});

t.test('a read whose reply is unclear is asked for otherwise, and what comes then is told', async (t) => {
  const world = new World();
  const commands: Commands = { list: [[Buffer.from('GET'), Buffer.from('one')]], protocol: 2 };
  world.ask('one', { kind: 'read', commands });
  t.match(world.sent[0]?.text, /^\*4\r\n\$4\r\nMGET/);
  const meta = `${bulkReply(`${NEVER}${BALLOT}${NO_LINEAGE}10`)}`;
  world.answer(`*3\r\n${bulkReply(RECORD)}${meta}_\r\n`);
  t.same(world.told, []);
  const [{ text, pending }] = world.sent as [(typeof world.sent)[number]];
  t.match(text, new RegExp(`${VIEW.sha}[^]*GET[^]*${VIEW.sha}`));
  const look = `*2\r\n*3\r\n${bulkReply(RECORD)}_\r\n${meta}:1\r\n`;
  world.answerInOrder(pending, [look, '-WRONGTYPE of another type\r\n', look]);
  t.match(world.told, [
    ['one', { kind: 'view', accepted: BALLOT, replies: [Buffer.from('-WRONGTYPE of another type\r\n')] }],
  ]);
});

t.test('what is said of a whole call is said of each; of one that broke off nothing is known', async (t) => {
  for (const [reply, kind] of [
    ['$1\r\nN\r\n', 'not-member'],
    ['-LOADING Redis is loading the dataset in memory\r\n', 'unable'],
    ['-ERR user_script:1: broken script: 0, on @user_script:1.\r\n', 'none'],
  ] as const) {
    const world = new World();
    for (const key of ['one', 'two']) world.ask(key);
    world.endTurn();
    world.answer(reply);
    t.same(kinds(world), [`one ${kind}`, `two ${kind}`], reply);
  }
});

t.test('of a call that was lost nothing is known, and what had not set out never does', async (t) => {
  const world = new World();
  for (const key of ['one', 'two', 'three']) {
    world.ask(key);
    world.endTurn();
  }
  world.lose();
  t.same(kinds(world).sort(), ['one none', 'three unsent', 'two none']);
  const { usedBytes } = world.transport.arena;
  t.same(usedBytes, new World().transport.arena.usedBytes + 16 * 1024, 'but for the frames that are kept');
});

t.test('after a push no answer counts that was asked for before, and nothing sets out', async (t) => {
  const world = new World();
  world.ask('one');
  world.endTurn();
  world.ask('two');
  world.push();
  world.endTurn();
  world.tellUnanswered();
  world.answer(`*1\r\n${OK}`);
  t.same(kinds(world), ['two unsent', 'one none']);
});

t.test('what waits for others counts as what waits for the node', async (t) => {
  const world = new World({ nodeQueueCommandsMax: 3 });
  for (const key of ['one', 'two', 'three', 'four']) world.ask(key);
  world.tellUnanswered();
  t.match(world.told, [['four', { kind: 'unable' }]]);
  world.endTurn();
  world.answer(`*3\r\n${OK.repeat(3)}`);
  world.ask('five');
  world.endTurn();
  t.same(keysOf(world.sent[0]?.text ?? ''), ['five']);
});
