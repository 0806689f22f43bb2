/** The script of a drop-in client on its way to three nodes, which answer when the test says so: who is asked what first, and who hears when. */
import t, { type Test } from 'tap';
import { DEFAULT_LIMITS } from '../../src/base/limits.js';
import type { Counts } from '../../src/base/metrics.js';
import { LockKeyspace, type LockKeyspaceContext } from '../../src/lock/lock-keyspace.js';
import { lockFormOf } from '../../src/lock/lock-keyspace-forms.js';
import type { Asking } from '../../src/replica/ask.js';
import type { NodeStep } from '../../src/replica/node-request.js';
import type { Unsent } from '../../src/replica/step.js';
import { CommandWriter } from '../../src/resp/command-writer.js';
import type { LockSets } from '../../src/routing/copy-sets.js';
import { FakeTransport } from '../help/fake-transport.js';

const NODES = [0, 1, 2];
const KEY = 'lock:a';
const SHA = 'a'.repeat(40);
const SOURCE = 'return 1 -- of the client';
const OPEN = '*0\r\n';
/** What EXEC tells of a script that replied 1, and of a key that is not there before and after. */
const DONE = block(':1\r\n');
/** The same of a key that it has set. */
const TAKEN = [
  '+OK\r\n',
  '+QUEUED\r\n',
  '+QUEUED\r\n',
  '+QUEUED\r\n',
  '*3\r\n*1\r\n:-2\r\n:1\r\n*2\r\n$1\r\nx\r\n:900\r\n',
];
const LACKING = block('-NOSCRIPT No matching script. Please use EVAL.\r\n');
const PATIENCE_MS = DEFAULT_LIMITS.replicatedPatienceMs;

function block(reply: string): string[] {
  return ['+OK\r\n', '+QUEUED\r\n', '+QUEUED\r\n', '+QUEUED\r\n', `*3\r\n*1\r\n:-2\r\n${reply}*2\r\n$0\r\n\r\n:-2\r\n`];
}

/** Something that a node was sent, and has not answered. */
interface Sent {
  readonly text: string;
  answer(...replies: string[]): void;
  /** It is told that it has not gone out. */
  leave(): void;
}

class Nodes {
  readonly transport = new FakeTransport();
  readonly replies: string[] = [];
  private readonly sent: Sent[][] = NODES.map(() => []);
  private readonly keyspace: LockKeyspace;
  readonly asker = { isClosed: false };

  constructor() {
    const replicas = {
      numbersOf: () => NODES,
      poolOf: () => 'main',
      limitsOf: () => DEFAULT_LIMITS,
      recordOf: (node: number) => `member ${node}`,
      askNode: <A>(node: number, asker: Asking<A>, copy: number, tag: number, step: NodeStep<A>) =>
        this.send(node, asker, copy, tag, step),
    };
    this.keyspace = new LockKeyspace({
      transport: this.transport,
      replicas,
      counts: new Proxy({}, { get: () => 0, set: () => true }) as Counts,
      random: () => 0.5,
    } as unknown as LockKeyspaceContext);
  }

  /** A script that is called whole, or by its SHA1: with its text, where that is known. Whether what comes next has to wait. */
  ask(name: 'eval' | 'evalsha', isKnown = true, asker = this.asker): boolean {
    const words = (first: string) => [first, name === 'eval' ? SOURCE : SHA, '1', KEY].map((word) => Buffer.from(word));
    const form = lockFormOf(name, words(name), 1, 1_000);
    if (form instanceof Uint8Array || form.kind !== 'script') throw new Error('it is a script');
    if (name === 'evalsha' && isKnown) form.whole = ['EVAL', SOURCE, '1', KEY].map((word) => Buffer.from(word));
    const order = { sets: { ttlMaxMs: 1_000 } as LockSets, at: 0, form, asker, protocol: 2 as const };
    return this.keyspace.ask(order, (reply) => this.replies.push(`${Buffer.from(reply)}`));
  }

  /** What the node was sent last. */
  last(node: number): Sent {
    const sent = this.sent[node]?.at(-1);
    if (sent === undefined) throw new Error(`node ${node} was sent nothing`);
    return sent;
  }

  count(node: number): number {
    return (this.sent[node] as Sent[]).length;
  }

  /** What the node was sent last has not gone out. */
  unsent(node: number): void {
    this.last(node).leave();
  }

  /** All nodes answer what they were sent last. */
  answer(...replies: string[]): void {
    for (const node of NODES) this.last(node).answer(...replies);
  }

  private send<A>(node: number, asker: Asking<A>, copy: number, tag: number, step: NodeStep<A>): void {
    const record = Buffer.from(`member ${node}`);
    const room = Buffer.alloc(step.bytesMax(record.length));
    const writer = new CommandWriter();
    writer.aim(room, 0);
    step.write(writer, record, 0);
    const answer = (...replies: string[]) =>
      asker.onAnswer(
        copy,
        tag,
        step.decode(
          replies.map((reply) => Buffer.from(reply)),
          record,
        ),
      );
    const leave = () => (asker as unknown as Asking<Unsent>).onAnswer(copy, tag, { kind: 'unsent' });
    this.sent[node]?.push({ text: room.toString('latin1', 0, writer.at), answer, leave });
  }
}

/** Nodes that are known to count. */
function openNodes(t: Test): Nodes {
  const nodes = new Nodes();
  t.equal(nodes.ask('eval'), true);
  for (const node of NODES) t.notMatch(nodes.last(node).text, /MULTI/, 'it is asked first whether it counts');
  nodes.answer(OPEN);
  nodes.answer(...DONE);
  t.same(nodes.replies.splice(0), [':1\r\n']);
  t.equal(nodes.ask('eval'), false, 'now they are known');
  nodes.answer(...DONE);
  nodes.replies.splice(0);
  return nodes;
}

t.test('nobody is told before all that answer have got the script', async (t) => {
  const nodes = new Nodes();
  nodes.ask('eval');
  for (const node of [0, 1]) {
    nodes.last(node).answer(OPEN);
    nodes.last(node).answer(...DONE);
  }
  t.same(nodes.replies, [], 'the third would get it behind what the client asks next');
  nodes.last(2).answer(OPEN);
  t.match(nodes.last(2).text, /MULTI/);
  t.same(nodes.replies, []);
  nodes.last(2).answer(...DONE);
  t.same(nodes.replies, [':1\r\n']);
});

t.test(
  'who is silent for too long gets it later, unless the client has asked something else of the lock',
  async (t) => {
    for (const asksAgain of [false, true]) {
      const nodes = new Nodes();
      nodes.ask('eval');
      for (const node of [0, 1]) {
        nodes.last(node).answer(OPEN);
        nodes.last(node).answer(...DONE);
      }
      const slow = nodes.last(2);
      nodes.transport.pass(PATIENCE_MS + 1);
      t.same(nodes.replies, [':1\r\n']);
      if (asksAgain) nodes.ask('eval');
      const count = nodes.count(2);
      slow.answer(OPEN);
      t.equal(nodes.count(2) - count, asksAgain ? 0 : 1);
    }
  },
);

t.test('a script whose text is known is sent whole once to each node, and again where it was forgotten', async (t) => {
  const nodes = openNodes(t);
  t.equal(nodes.ask('evalsha'), false);
  for (const node of NODES) {
    t.match(nodes.last(node).text, SOURCE);
    t.notMatch(nodes.last(node).text, SHA);
  }
  nodes.answer(...DONE);
  nodes.ask('evalsha');
  for (const node of NODES) t.match(nodes.last(node).text, SHA);
  nodes.last(0).answer(...LACKING);
  t.match(nodes.last(0).text, SOURCE);
  for (const node of NODES) nodes.last(node).answer(...DONE);
  t.same(nodes.replies, [':1\r\n', ':1\r\n']);
});

t.test('one who has forgotten the script when its client was told already is sent it whole then', async (t) => {
  const nodes = openNodes(t);
  nodes.ask('evalsha');
  nodes.answer(...DONE);
  nodes.ask('evalsha');
  for (const node of [0, 1]) nodes.last(node).answer(...DONE);
  t.equal(nodes.replies.length, 2);
  nodes.last(2).answer(...LACKING);
  t.match(nodes.last(2).text, SOURCE);
});

t.test('who says no before the others have answered does not make it one without effect', async (t) => {
  const nodes = openNodes(t);
  nodes.ask('eval');
  for (const node of [0, 1]) nodes.unsent(node);
  t.match(nodes.replies.join(), /^-UNKNOWN 0 of 3 nodes/, 'the third may have carried it out');
  nodes.last(2).answer(...DONE);
});

t.test('what has been taken is not taken by one more node later: it may have been given back', async (t) => {
  const nodes = new Nodes();
  nodes.ask('eval');
  for (const node of [0, 1]) {
    nodes.last(node).answer(OPEN);
    nodes.last(node).answer(...TAKEN);
  }
  nodes.transport.pass(PATIENCE_MS + 1);
  t.same(nodes.replies, [':1\r\n']);
  const count = nodes.count(2);
  nodes.last(2).answer(OPEN);
  t.equal(nodes.count(2), count);
});

t.test('who is known to be in quarantine is not waited for', async (t) => {
  const nodes = openNodes(t);
  const others = new Nodes();
  others.ask('eval');
  for (const node of [0, 1]) {
    others.last(node).answer(OPEN);
    others.last(node).answer(...DONE);
  }
  others.last(2).answer('+Q60000\r\n');
  t.same(others.replies.splice(0), [':1\r\n']);
  t.equal(others.ask('eval'), false);
  for (const node of [0, 1]) others.last(node).answer(...DONE);
  t.same(others.replies, [':1\r\n']);
  t.equal(nodes.replies.length, 0);
});

t.test('nodes that have said that they have a script are not asked again', async (t) => {
  const nodes = openNodes(t);
  t.equal(nodes.ask('evalsha', false), true);
  nodes.answer('*1\r\n:1\r\n');
  nodes.answer(...DONE);
  t.equal(nodes.ask('evalsha', false), false);
  for (const node of NODES) t.match(nodes.last(node).text, SHA);
  nodes.last(0).answer(...LACKING);
  for (const node of [1, 2]) nodes.last(node).answer(...DONE);
  t.equal(nodes.ask('evalsha', false), true, 'one has lost it');
});

t.test('nothing is taken for one who has gone while nodes were asked whether they have the script', async (t) => {
  const nodes = openNodes(t);
  const asker = { isClosed: false };
  nodes.ask('evalsha', false, asker);
  asker.isClosed = true;
  const count = nodes.count(0);
  nodes.answer('*1\r\n:1\r\n');
  t.equal(nodes.count(0), count);
  t.equal(nodes.replies.length, 1);
});

t.test('a script whose text is not known is sent to no node before a majority has it, and none lacks it', async (t) => {
  const [THERE, MISSING] = ['*1\r\n:1\r\n', '*1\r\n:0\r\n'];
  for (const [answers, reply] of [
    [[THERE, THERE, THERE], null],
    [[THERE, THERE, null], null],
    [[THERE, null, '-ERR no\r\n'], /^-NOQUORUM 1 of 3 nodes of the lock said that they have the script; .*no effect/],
    [[THERE, THERE, MISSING], /^-NOSCRIPT /],
    [[MISSING, null, null], /^-NOSCRIPT /],
  ] as const) {
    const nodes = openNodes(t);
    t.equal(nodes.ask('evalsha', false), true, 'what comes next waits');
    const counts = NODES.map((node) => nodes.count(node));
    for (const node of NODES) t.match(nodes.last(node).text, /SCRIPT\r\n\$6\r\nEXISTS\r\n\$40\r\na{40}/);
    for (const [node, answer] of answers.entries()) if (answer !== null) nodes.last(node).answer(answer);
    if (answers.some((answer) => answer === null)) nodes.transport.pass(PATIENCE_MS + 1);
    const more = NODES.map((node) => nodes.count(node) - (counts[node] as number));
    t.same(more, reply === null ? [1, 1, 1] : [0, 0, 0]);
    if (reply === null) {
      for (const node of NODES) t.match(nodes.last(node).text, SHA);
      nodes.answer(...DONE);
    }
    t.match(nodes.replies.join(), reply ?? ':1\r\n');
  }
});
