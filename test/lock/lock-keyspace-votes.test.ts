/** What comes of the words of a lock's nodes: a table, and what holds for all of it. */
import t from 'tap';
import { decide, type Verdict, type Vote, type Votes, type Written } from '../../src/lock/lock-keyspace-votes.js';

const content = (text: string) => Buffer.from(text);
const mine = (ttlMs = 1000): Written => ({ key: 0, content: content('mine'), ttlMs });

function said(reply: string, rest: Partial<Vote> = {}): Vote {
  return { reply: Buffer.from(reply), times: [], written: [], overlong: false, ...rest };
}

const ok = (ttlMs?: number) => said('+OK', { written: [mine(ttlMs)] });
const nil = said('_');
const none = null;
const open = undefined;
const holds = (value: string, remainingMs: number) => said(value, { times: [remainingMs] });

interface Case {
  name: string;
  votes: Votes;
  quorum?: number;
  elapsedMs?: number;
  isOver?: boolean;
  /** A SET's own value, which nodes that have not answered may write. */
  unsaid?: boolean;
  /** null: not known yet. */
  kind: Verdict['kind'] | null;
  reply?: string;
  remainingMs?: number;
  /** Copies that something is taken back of. */
  takenBack?: number[];
}

const CASES: Case[] = [
  { name: 'two of three have the lock', votes: [ok(), ok(), open], unsaid: true, kind: 'majority', reply: '+OK' },
  { name: 'one of three has it, and others may', votes: [ok(), open, open], unsaid: true, kind: null },
  { name: 'one has it, one has not, one may', votes: [ok(), nil, open], unsaid: true, kind: null },
  {
    name: 'a majority has it for somebody else: what one wrote is taken back, and what one may write',
    votes: [ok(), nil, nil, open, nil],
    quorum: 3,
    unsaid: true,
    kind: 'majority',
    reply: '_',
    takenBack: [0, 3],
  },
  { name: 'nobody has a majority', votes: [ok(), nil, said('-X')], unsaid: true, kind: 'split', takenBack: [0] },
  { name: 'of three one is gone, two differ', votes: [ok(), nil, none], unsaid: true, kind: 'split', takenBack: [0] },
  { name: 'two of three are gone', votes: [none, ok(), none], unsaid: true, kind: 'too-few', takenBack: [1] },
  { name: 'all are gone', votes: [none, none, none], unsaid: true, kind: 'too-few' },
  {
    name: 'half of four is no majority',
    votes: [ok(), ok(), nil, nil],
    quorum: 3,
    unsaid: true,
    kind: 'split',
    takenBack: [0, 1],
  },
  {
    name: 'nobody waits any longer for one of three',
    votes: [ok(), nil, open],
    isOver: true,
    unsaid: true,
    kind: 'split',
    takenBack: [0, 2],
  },
  {
    name: 'who waits is told as soon as no majority can come',
    votes: [ok(), nil, none, none, open],
    quorum: 3,
    unsaid: true,
    kind: 'too-few',
    takenBack: [0, 4],
  },
  {
    name: 'it took too long',
    votes: [ok(1000), ok(1000), open],
    elapsedMs: 988,
    unsaid: true,
    kind: 'split',
    takenBack: [0, 1, 2],
  },
  {
    name: 'it took nearly too long',
    votes: [ok(1000), ok(1000), open],
    elapsedMs: 987,
    unsaid: true,
    kind: 'majority',
    reply: '+OK',
  },
  {
    name: 'how long it took does not matter where nothing is taken',
    votes: [nil, nil, open],
    elapsedMs: 9e9,
    kind: 'majority',
    reply: '_',
  },
  {
    name: 'a script took the lock at a minority: what it wrote there is what others may write',
    votes: [said(':0'), said(':1', { written: [mine()] }), said(':0'), open, none],
    quorum: 3,
    isOver: true,
    kind: 'split',
    takenBack: [1, 3],
  },
  {
    name: 'a script took it at a majority: a node that has not answered may have it, too',
    votes: [said(':1', { written: [mine()] }), said(':1', { written: [mine()] }), open],
    kind: 'majority',
    reply: ':1',
    takenBack: [],
  },
  {
    name: 'a script that a majority says no to, and that has not been heard of elsewhere',
    votes: [said(':0'), said(':0'), open],
    kind: 'majority',
    reply: ':0',
    takenBack: [],
  },
  {
    name: 'a script that left a key for good',
    votes: [
      said(':1', { written: [mine()], overlong: true }),
      said(':1', { written: [mine()], overlong: true }),
      said(':0'),
    ],
    kind: 'overlong',
    takenBack: [0, 1],
  },
  {
    name: 'the second of three times is how long a majority says so',
    votes: [holds('a', 900), holds('a', 700), holds('a', 800)],
    kind: 'majority',
    reply: 'a',
    remainingMs: 800,
  },
  {
    name: 'of five the third',
    votes: [holds('a', 1), holds('a', 5), holds('a', 4), holds('a', 2), holds('a', 3)],
    quorum: 3,
    kind: 'majority',
    reply: 'a',
    remainingMs: 3,
  },
  {
    name: 'times of those that hold something else do not count',
    votes: [holds('a', 10), holds('b', 900), holds('a', 20)],
    kind: 'majority',
    reply: 'a',
    remainingMs: 10,
  },
  {
    name: 'two have answered, one of them may be behind',
    votes: [holds('a', 10), open, holds('a', 20)],
    kind: null,
  },
  {
    name: 'two have answered, and nobody waits any longer: the shorter',
    votes: [holds('a', 10), open, holds('a', 20)],
    isOver: true,
    kind: 'majority',
    remainingMs: 10,
  },
  {
    name: 'for good is longest',
    votes: [holds('a', -1), holds('a', 10), holds('a', 20)],
    kind: 'majority',
    remainingMs: 20,
  },
  {
    name: 'for good at a majority',
    votes: [holds('a', -1), holds('a', 10), holds('a', -1)],
    kind: 'majority',
    remainingMs: -1,
  },
  {
    name: 'free',
    votes: [holds('_', -2), holds('_', -2), holds('a', 9)],
    kind: 'majority',
    reply: '_',
    remainingMs: -2,
  },
];

for (const { name, votes, kind, reply, remainingMs, takenBack, ...terms } of CASES) {
  t.test(name, async (t) => {
    const unsaid = terms.unsaid === true ? [mine()] : [];
    const rest = { quorum: terms.quorum ?? 2, elapsedMs: terms.elapsedMs ?? 0, isOver: terms.isOver ?? false, unsaid };
    const verdict = decide(votes, rest);
    t.equal(verdict?.kind ?? null, kind);
    if (verdict === null) return;
    t.same(
      verdict.takeBack.map(({ copy }) => copy),
      takenBack ?? [],
    );
    for (const { written } of verdict.takeBack)
      t.same(
        written.map(({ content }) => `${content}`),
        ['mine'],
      );
    if (verdict.kind !== 'majority') return;
    if (reply !== undefined) t.equal(`${verdict.reply}`, reply);
    if (remainingMs !== undefined) t.same(verdict.times, [remainingMs]);
  });
}

t.test('too few says how many there were', async (t) => {
  const terms = { quorum: 3, elapsedMs: 0, isOver: false, unsaid: [] };
  t.match(decide([nil, none, said(':1'), none, none], terms), { kind: 'too-few', votes: 2 });
});

t.test('whatever nodes say of two clients that want one lock, not both are told that they have it', async (t) => {
  // Each node gave it to one of them, or to none, or does not say to one or the other.
  for (const copies of [3, 4, 5]) {
    const quorum = (copies >> 1) + 1;
    const terms = { quorum, elapsedMs: 0, isOver: true, unsaid: [mine()] };
    for (let number = 0; number < 5 ** copies; number++) {
      const states = Array.from({ length: copies }, (_, copy) => Math.floor(number / 5 ** copy) % 5);
      const one = decide(
        states.map((state) => [ok(), nil, nil, none, ok()][state]),
        terms,
      );
      const other = decide(
        states.map((state) => [nil, ok(), nil, ok(), none][state]),
        terms,
      );
      const has = (verdict: Verdict | null) => verdict?.kind === 'majority' && `${verdict.reply}` === '+OK';
      if (has(one) && has(other)) t.fail(`both have it: ${states.join()}`);
      for (const verdict of [one, other]) {
        const taken = states.flatMap((state, copy) => (state === (verdict === one ? 0 : 1) ? [copy] : []));
        if (has(verdict) || taken.every((copy) => verdict?.takeBack.some((back) => back.copy === copy))) continue;
        t.fail(`something stays where it was not had: ${states.join()}`);
      }
    }
  }
});
