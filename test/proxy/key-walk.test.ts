/** Walks over nodes whose copies change behind, under and before them: no key is missed that is there all the while. */
import t from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import type { NodeSnapshot } from '../../src/messages.js';
import { KeyWalks, type Walk } from '../../src/proxy/key-walk.js';
import type { NodeAsk } from '../../src/proxy/node-steps.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { formatNodeRecord } from '../../src/replica/node-record.js';
import { arrayHeader, bulkReply, errorReply } from '../../src/resp/reply.js';
import { planCopySets, ReplicaSets } from '../../src/routing/copy-sets.js';
import { strongLevel } from '../../src/routing/levels.js';
import { type Parsed, parseReply, ReplyError } from '../help/reference-parser.js';
import { Seeded } from '../transport/seeded.js';

const COPIES = 3;
const NODES = 5;

/** What a copy has of a key: the state after that ballot. */
interface State {
  ballot: number;
  live: boolean;
}

class FakeNode {
  readonly keys = new Map<string, State>();
  isDown = false;
  incarnation = 1;
  private readonly index: number;

  constructor(index: number) {
    this.index = index;
  }

  /** To a frame of replica/key-pages. */
  answer(frame: Uint8Array): Uint8Array {
    if (this.isDown) return errorReply(`NODEDOWN n${this.index}`);
    const [, script = '', , , ...rest] = (parseReply(Buffer.from(frame)) as Parsed).value as string[];
    const process = { runId: `r${this.incarnation}`, replId: 'p' };
    const admission = { epoch: 0, count: this.incarnation };
    const status = { kind: 'member' } as const;
    const record = formatNodeRecord({ clusterId: 'c', name: `n${this.index}`, admission, process, status });
    if (!script.includes("'SCAN'")) return page(record, '0', rest, this.keys);
    const [cursor = '', , count = ''] = rest;
    // As in a hash table, what comes and goes does not move what is there.
    const places = [...this.keys.keys()].map((key) => ({ key, place: placeOf(key) })).sort((a, b) => a.place - b.place);
    const left = places.filter(({ place }) => place >= Number(cursor));
    const shown = left.slice(0, Number(count));
    const next = left[shown.length]?.place ?? 0;
    return page(
      record,
      String(next),
      shown.map(({ key }) => key),
      this.keys,
    );
  }
}

function page(record: string, cursor: string, keys: readonly string[], states: ReadonlyMap<string, State>): Uint8Array {
  const found = keys.flatMap((key) => {
    const state = states.get(key);
    const facts =
      state === undefined ? '' : `${String(state.ballot).padStart(40, '0')}${NO_LINEAGE}${state.live ? 1 : 0}0`;
    return [bulkReply(key), bulkReply(facts), bulkReply('')];
  });
  return Buffer.concat([arrayHeader(3), bulkReply(record), bulkReply(cursor), arrayHeader(found.length), ...found]);
}

/** Never 0, so that a cursor of 0 is the beginning. */
function placeOf(key: string): number {
  let hash = 7;
  for (const letter of key) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return 1 + (hash % 1_000_003);
}

class World {
  readonly nodes = Array.from({ length: NODES }, (_, index) => new FakeNode(index));
  readonly walks: KeyWalks;
  private readonly sets: ReplicaSets;
  private ballot = 10;

  constructor() {
    const snapshots = this.nodes.map((_, index): NodeSnapshot => {
      const address = { kind: 'tcp', host: `n${index}`, port: 1 } as const;
      const name = `n${index}`;
      const login = { username: null, password: null };
      return { index, name, label: name, pool: 'main', weight: 1, address, limits: DEFAULT_NODE_LIMITS, ...login };
    });
    const owners = planCopySets(snapshots, COPIES);
    const replication = { copies: COPIES, owners, level: strongLevel(COPIES), tombstoneTtlMs: 1 };
    const placement = { kind: 'slots', owners: owners.filter((_, at) => at % COPIES === 0), colocate: [] } as const;
    const keyspace = {
      prefix: '',
      pool: 'main',
      placement,
      splitsWrites: true,
      replication,
      locks: null,
      storeLocks: null,
    };
    this.sets = new ReplicaSets(keyspace, replication);
    const distinct = new Map<string, number[]>();
    for (let at = 0; at < owners.length; at += COPIES) {
      const set = Array.from(owners.subarray(at, at + COPIES));
      distinct.set(set.toSorted().join(), set);
    }
    this.walks = new KeyWalks({
      nodes: snapshots,
      copySetsOfNodes: [...distinct.values()],
      copySetsOf: () => this.sets,
      isOwn: () => false,
    });
  }

  copiesOf(key: string): FakeNode[] {
    const bytes = Buffer.from(key);
    const first = this.sets.find(bytes, 0, bytes.length);
    return Array.from(this.sets.owners.subarray(first, first + COPIES), (owner) => this.nodes[owner] as FakeNode);
  }

  /** A write that was acknowledged: two copies have it, and maybe the third. */
  write(random: Seeded, key: string, live: boolean): void {
    const state = { ballot: ++this.ballot, live };
    const behind = random.below(4);
    for (const [place, node] of this.copiesOf(key).entries()) if (place !== behind) node.keys.set(key, state);
  }

  /** All copies have the newest state now. */
  mend(key: string): void {
    const copies = this.copiesOf(key);
    const states = copies.flatMap(({ keys }) => keys.get(key) ?? []);
    const newest = states.reduce((one, other) => (one.ballot > other.ballot ? one : other));
    for (const { keys } of copies) keys.set(key, newest);
  }

  /** `between`: what happens before each node answers. */
  run(walk: Walk, between: () => void): unknown {
    let replies: Uint8Array[] = [];
    for (;;) {
      const { done, value } = walk.next(replies);
      if (done === true) return parseReply(Buffer.from(value))?.value;
      replies = (value as readonly NodeAsk[]).map(({ node, frame }) => {
        between();
        return (this.nodes[node] as FakeNode).answer(frame);
      });
    }
  }

  scan(count: number, between: () => void): string[] | ReplyError {
    const found: string[] = [];
    let cursor = '0';
    do {
      const options = { match: Buffer.from('*'), count: String(count), type: null };
      const reply = this.run(this.walks.scan(cursor, options, 0), between);
      if (reply instanceof ReplyError) return reply;
      const [next, keys] = reply as [string, string[]];
      found.push(...keys);
      cursor = next;
    } while (cursor !== '0');
    return found;
  }
}

function filled(random: Seeded): { world: World; kept: string[]; gone: string[]; restless: string[] } {
  const world = new World();
  const names = (what: string) => Array.from({ length: 40 }, (_, n) => `${what}:${n}`);
  const [kept, gone, restless] = [names('kept'), names('gone'), names('restless')];
  for (const key of [...kept, ...gone, ...restless]) {
    for (let writes = random.below(3); writes > 0; writes--) world.write(random, key, random.below(2) === 0);
    world.write(random, key, !gone.includes(key));
  }
  return { world, kept, gone, restless };
}

t.test('a walk misses no key that is there all the while, and shows none that was gone before', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  for (let round = 0; round < 25; round++) {
    const { world, kept, gone, restless } = filled(random);
    if (random.below(3) === 0) (world.nodes[random.below(NODES)] as FakeNode).isDown = true;
    const between = () => {
      const key = random.pick([...kept, ...kept, ...restless, ...gone]);
      if (random.below(2) === 0) world.mend(key);
      else if (!gone.includes(key)) world.write(random, key, kept.includes(key) || random.below(2) === 0);
    };
    for (const found of [
      world.scan(1 + random.below(20), between),
      world.run(
        world.walks.keys(Buffer.from('*'), () => 0),
        between,
      ) as string[],
    ]) {
      if (found instanceof ReplyError) throw found;
      const seen = new Set(found);
      const missed = kept.filter((key) => !seen.has(key));
      const ghosts = gone.filter((key) => seen.has(key));
      if (missed.length + ghosts.length > 0) t.same({ missed, ghosts }, { missed: [], ghosts: [] }, `round ${round}`);
    }
  }
  t.pass('25 rounds');
});

t.test('while nothing changes each key is counted once, however its copies differ', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  for (let round = 0; round < 10; round++) {
    const { world, kept, restless } = filled(random);
    t.equal(
      world.run(
        world.walks.dbsize(() => 0),
        () => {},
      ),
      kept.length + restless.length,
    );
    for (const key of [...kept, ...restless]) world.mend(key);
    const found = world.scan(10, () => {}) as string[];
    t.same(found.sort(), [...kept, ...restless].sort(), 'once, where all copies have it');
  }
});

t.test('a node that dies, or comes back as another process, ends a scan, and has KEYS begin again', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const strikes: ((node: FakeNode) => void)[] = [
    (node) => {
      node.isDown = true;
    },
    (node) => {
      node.incarnation++;
      node.keys.clear();
    },
  ];
  for (const strike of strikes) {
    const { world, kept } = filled(random);
    let asks = 0;
    const between = () => {
      asks++;
      // When KEYS comes to the last of the walk, to which others have left what it had.
      if (asks === NODES * (NODES - 1) + 1) strike(world.nodes[NODES - 1] as FakeNode);
    };
    t.match(world.scan(5, between), { message: /begin again with 0/ });
    for (const key of kept) world.mend(key);
    for (const node of world.nodes) node.isDown = false;
    asks = 0;
    const found = world.run(
      world.walks.keys(Buffer.from('*'), () => 0),
      between,
    ) as string[];
    t.ok(kept.every((key) => found.includes(key)));
  }
});

t.test('where all keys are locks there is nothing to be seen', async (t) => {
  const walks = new KeyWalks({ nodes: [], copySetsOfNodes: [], copySetsOf: () => null, isOwn: () => false });
  const options = { match: Buffer.from('*'), count: '10', type: null };
  const run = (walk: Walk) => {
    let step = walk.next([]);
    while (step.done !== true) {
      t.same(step.value, [], 'no node is asked');
      step = walk.next([]);
    }
    return Buffer.from(step.value).toString();
  };
  t.equal(run(walks.scan('0', options, 0)), '*2\r\n$1\r\n0\r\n*0\r\n');
  t.equal(run(walks.scan('77', options, 0)), '*2\r\n$1\r\n0\r\n*0\r\n');
  t.match(run(walks.scan('x', options, 0)), /^-ERR invalid cursor/);
  t.equal(run(walks.keys(options.match, () => 0)), '*0\r\n');
  t.equal(run(walks.dbsize(() => 0)), ':0\r\n');
  t.equal(run(walks.randomKey(() => 0.5, 0, 2)), '$-1\r\n');
});
