/**
 * All replicated keys, as one worker has them: a voter for each node that has copies, and a proposer for each pool of them.
 *
 *   submit ──> Proposer ──steps──> Voter ──frames──> node
 *                  ^                 │
 *                  └──── answers ────┘     those that will not come are told when nothing else is going on
 */
import type { ChannelContext } from '../backend/channel.js';
import type { BackendPool } from '../backend/pool.js';
import type { Limits, NodeLimits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';
import type { CopySets, ReplicaSets } from '../routing/copy-sets.js';
import { describeLevel } from '../routing/levels.js';
import type { Asking } from './ask.js';
import { type Commands, NO_COMMANDS, type Replies, type Value } from './commands.js';
import { HintOutbox, type HintOutboxContext } from './hint-outbox.js';
import { alone } from './key-operation.js';
import { clusterInForce } from './member.js';
import type { NodeStep } from './node-request.js';
import type { Operation } from './operation.js';
import { Proposer, type ProposerContext, type ProposerEvent } from './proposer.js';
import { type HomeContext, homeOf } from './quorum-context.js';
import { QuorumProposer } from './quorum-proposer.js';
import type { Client } from './round.js';
import type { Script } from './scripts.js';
import type { NotMember, Step, Unable, Unsent } from './step.js';
import { StepFrames } from './step-frames.js';
import { Voter } from './voter.js';

export interface ReplicasContext extends Pick<ChannelContext, 'transport' | 'pendings' | 'random' | 'counts'> {
  pool: BackendPool;
  limits: Pick<Limits, 'replicatedKeyQueueMax' | 'replicatedKeysMax' | 'hintsInFlightBytesMax'>;
  /** See VoterContext. */
  scripts: readonly Script[];
  /** A number that no other proposer ever has: see `proposerNumber`. */
  drawProposer: () => string;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** These nodes had another state of a key, under the same ballot, than the others, and are given theirs. */
  onDifference: (key: string, nodes: readonly NodeSnapshot[]) => void;
  /** See HintOutboxContext. */
  postHints: HintOutboxContext['post'];
  onHintDropped: HintOutboxContext['onDropped'];
  /** Votes of a node count, or do not any more, for that reason. */
  onStanding: (node: NodeSnapshot, isMember: boolean, reason: string) => void;
}

type KeyProposer = Proposer<Commands, Replies, Value> | QuorumProposer<Commands, Replies, Value>;

/** The keys of one keyspace. */
interface Opened {
  readonly proposer: KeyProposer;
  /** Per slot the nodes of its copies, by the numbers that they have here. */
  readonly nodes: (readonly number[] | undefined)[];
}

/** Between looks at the clock while anything is under way. */
const TICK_MS = 5;

const COUNTERS: Readonly<Record<ProposerEvent, keyof Counts>> = {
  'fast-read': 'replicatedReads',
  'slow-read': 'replicatedReadRounds',
  write: 'replicatedWrites',
  prepare: 'replicatedPrepares',
  refused: 'replicatedRefusals',
  settle: 'replicatedSettles',
  install: 'replicatedInstalls',
  mend: 'replicatedMends',
  difference: 'replicatedDifferences',
  expired: 'replicatedExpiries',
  unknown: 'replicatedUnknown',
  'no-quorum': 'replicatedNoQuorum',
  overtaken: 'replicatedOvertaken',
  'cursor-lost': 'replicatedCursorsLost',
  unable: 'replicatedUnable',
  crowded: 'replicatedCrowded',
  overdue: 'replicatedOverdue',
  impatient: 'replicatedImpatient',
  forgotten: 'replicatedKeysForgotten',
  alone: 'replicatedAtOneNode',
};

export class Replicas {
  private readonly context: ReplicasContext;
  private readonly wakened: ((message: string | null) => void)[] = [];
  private isListening = false;
  private readonly frames: StepFrames;
  private readonly outbox: HintOutbox;
  private readonly voters: Voter[] = [];
  /** Their numbers, by pool and name: a node keeps its number, wherever it stands in a topology, while it has copies. */
  private readonly numbers = new Map<string, number>();
  /** The same by the index in the topology; -1 for nodes without copies and locks. */
  private indexed: number[] = [];
  /** By pool and number of copies: a key must have one proposer, by whatever service it is asked for. */
  private readonly proposers = new Map<string, KeyProposer>();
  private opened = new Map<ReplicaSets, Opened>();
  private topology: TopologySnapshot | null = null;
  /** Of each pool that there ever was, as the last topology with it has them. */
  private readonly poolLimits = new Map<string, NodeLimits>();
  /** Those that have something to tell. */
  private untold: Voter[] = [];
  /** Those that may have something to send. */
  private unsent: Voter[] = [];
  private isTicking = false;
  /** By their indices in the topology. */
  private readonly homes: HomeContext<number> = {
    isAwaited: (index) => this.voters[this.indexed[index] as number]?.isAwaited === true,
    isReachable: (index) => this.voters[this.indexed[index] as number]?.isMember === true,
    isSlow: (index) => this.voters[this.indexed[index] as number]?.isSilent === true,
  };

  constructor(context: ReplicasContext) {
    this.context = context;
    this.frames = new StepFrames(context.transport.arena);
    const { counts, clock } = context;
    this.outbox = new HintOutbox({
      counts,
      clock,
      post: context.postHints,
      onDropped: context.onHintDropped,
      get limits() {
        return context.limits;
      },
    });
  }

  /** The nodes are those of `topology` from now on, which `context.pool` knows already. */
  configure(topology: TopologySnapshot): void {
    const pools = new Set<string>();
    for (const service of topology.services) {
      for (const { pool, replication, locks } of service?.keyspaces ?? [])
        if ((replication ?? locks) !== null) pools.add(pool);
    }
    this.topology = topology;
    for (const { pool, limits } of topology.nodes) this.poolLimits.set(pool, limits);
    this.opened = new Map();
    for (const proposer of this.proposers.values()) proposer.renew();
    this.indexed = topology.nodes.map((node) => (pools.has(node.pool) ? this.numberOf(node) : -1));
    const used = new Set(this.indexed);
    for (const [id, number] of this.numbers) {
      if (used.has(number)) continue;
      this.voters[number]?.close();
      this.numbers.delete(id);
    }
  }

  /** What the key bytes[start, end) has copies by is `copySets`. Tells `client` the outcome, maybe within the call. */
  submit(
    copySets: ReplicaSets,
    bytes: Uint8Array,
    start: number,
    end: number,
    operation: Operation<Commands, Replies>,
    client: Client<Replies>,
  ): void {
    const { proposer, nodes } = this.opened.get(copySets) ?? this.open(copySets);
    const at = copySets.find(bytes, start, end);
    const place = at / copySets.copies;
    let own = nodes[place];
    if (own === undefined) {
      own = Array.from(copySets.owners.subarray(at, at + copySets.copies), (index) => this.indexed[index] as number);
      nodes[place] = own;
    }
    const { frames, context } = this;
    // Of the arena there is a Buffer already.
    const whole =
      bytes === context.transport.arena.bytes
        ? frames.bytes
        : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const key = whole.toString('latin1', start, end);
    proposer.submit(key, own, operation, client);
    this.tellUntold();
    this.tickLater();
  }

  /** Whether the last that is known of the key is a write of this worker, which has left a value. */
  hasValue(copySets: ReplicaSets, key: Uint8Array): boolean {
    return this.opened.get(copySets)?.proposer.hasValue(nameOf(key)) === true;
  }

  /** Somebody else has written the key. */
  onOvertaken(copySets: ReplicaSets, key: Uint8Array): void {
    this.opened.get(copySets)?.proposer.onOvertaken(nameOf(key));
  }

  /**
   * `listener` is told, from `listen` on, when a node says that something was put into a key, with these words; null: it may have said so of
   * any.
   */
  whenWoken(listener: (message: string | null) => void): void {
    this.wakened.push(listener);
  }

  /**
   * The home of the keys whose copies begin at that place of these sets: the node of the first copy that can be asked and is not silent,
   * by its index in the topology. -1: there is none, or it is not known yet which.
   */
  homeOf({ owners, copies }: Pick<CopySets, 'owners' | 'copies'>, at: number): number {
    const place = homeOf(owners, at, at + copies, this.homes);
    if (place < 0) return -1;
    const index = owners[place] as number;
    return this.homes.isSlow(index) ? -1 : index;
  }

  /** When a command came, at the latest, to whose answer that node, by its index in the topology, has had time enough. */
  patientSinceMs(index: number): number {
    const { now } = this.context.transport;
    const voter = this.voters[this.indexed[index] as number] as Voter;
    return now - voter.channels.wanted.limits.replicatedPatienceMs;
  }

  /** The nodes that lie in a row in these sets, by the numbers that they have here and keep. */
  numbersOf({ owners, copies }: Pick<CopySets, 'owners' | 'copies'>, at: number): number[] {
    return Array.from(owners.subarray(at, at + copies), (index) => this.indexed[index] as number);
  }

  /** The name of the pool of those nodes. */
  poolOf({ owners }: Pick<CopySets, 'owners'>): string {
    return ((this.topology as TopologySnapshot).nodes[owners[0] as number] as NodeSnapshot).pool;
  }

  /** Of the nodes of a pool. */
  limitsOf(pool: string): NodeLimits {
    return this.poolLimits.get(pool) as NodeLimits;
  }

  /** Has a node, by its number, carry out a step that is none on a key. `asker` is told later, never within the call. */
  askNode<A>(
    number: number,
    asker: Asking<A | NotMember | Unable | Unsent>,
    copy: number,
    tag: number,
    nodeStep: NodeStep<A>,
  ): void {
    (this.voters[number] as Voter).askOther(asker, copy, tag, nodeStep);
  }

  /** The record by which the node of that number is a member, a character a byte; '' where it is none. */
  recordOf(number: number): string {
    return (this.voters[number] as Voter).memberRecord;
  }

  /** From now on those who want to know are told what nodes say. */
  listen(): void {
    if (this.isListening) return;
    this.isListening = true;
    for (const voter of this.voters) voter.listen();
  }

  /** Has the steps sent that wait for others of the turn: at its end. */
  onTurnEnd(): void {
    const { unsent } = this;
    // Emptying an array takes 30 ns, also an empty one: each turn would pay for what is seldom there.
    if (unsent.length === 0) return;
    for (const voter of unsent) voter.onTurnEnd();
    unsent.length = 0;
  }

  /** See HintOutbox. */
  onHintsTaken(bytes: number): void {
    this.outbox.onTaken(bytes);
  }

  /** Gives up the nodes. What they have not answered of acknowledged writes they may have missed. */
  close(): void {
    for (const voter of this.voters) voter.end();
    this.outbox.end();
  }

  private numberOf(node: NodeSnapshot): number {
    const id = `${node.pool}/${node.name}`;
    const known = this.numbers.get(id);
    if (known !== undefined) return known;
    const { context } = this;
    const channels = context.pool.at(node.index);
    const voter = new Voter(
      {
        ...context,
        frames: this.frames,
        onWake: (message) => {
          for (const listener of this.wakened) listener(message);
        },
        onBatch: (voter) => this.unsent.push(voter),
        onUnanswered: (voter) => this.onUnanswered(voter),
        onStanding: ({ channels }, isMember, reason) => {
          this.compareClusters(channels.wanted.pool);
          context.onStanding(channels.wanted, isMember, reason);
        },
      },
      channels,
    );
    this.numbers.set(id, this.voters.length);
    this.voters.push(voter);
    if (this.isListening) voter.listen();
    voter.open();
    return this.voters.length - 1;
  }

  /** The nodes of a pool whose cluster is another than that of most do not count, until they agree. */
  private compareClusters(pool: string): void {
    const voters = [...this.numbers.values()]
      .map((number) => this.voters[number] as Voter)
      .filter(({ channels }) => channels.wanted.pool === pool);
    const clusterId = clusterInForce(voters.map((voter) => voter.clusterId));
    for (const voter of voters) voter.isOfPool = voter.clusterId === null || voter.clusterId === clusterId;
  }

  private open(copySets: ReplicaSets): Opened {
    const { nodes } = this.topology as TopologySnapshot;
    const { pool } = nodes[copySets.owners[0] as number] as NodeSnapshot;
    const id = `${copySets.copies} ${describeLevel(copySets.level)} ${pool}`;
    let proposer = this.proposers.get(id);
    if (proposer === undefined) {
      proposer = this.propose(copySets, pool);
      this.proposers.set(id, proposer);
    }
    const opened = { proposer, nodes: [] };
    this.opened.set(copySets, opened);
    return opened;
  }

  /** A proposer of keys with so many copies in that pool. */
  private propose({ copies, level }: ReplicaSets, pool: string): KeyProposer {
    const { context, voters } = this;
    const { counts, transport } = context;
    const limitsOfNow = () => this.poolLimits.get(pool) as NodeLimits;
    const majority = (copies >> 1) + 1;
    const own: ProposerContext<Commands, Replies, Value> = {
      quorum: majority,
      none: NO_COMMANDS,
      proposer: context.drawProposer(),
      get timeoutMs() {
        return limitsOfNow().requestTimeoutMs;
      },
      get patienceMs() {
        return limitsOfNow().replicatedPatienceMs;
      },
      get linesMax() {
        return context.limits.replicatedKeysMax;
      },
      get keyQueueMax() {
        return context.limits.replicatedKeyQueueMax;
      },
      now: () => transport.now,
      clock: context.clock,
      random: context.random,
      send: (asker, copy, tag, step) => voters[asker.nodes[copy] as number]?.ask(asker, copy, tag, step),
      areEqual: (one, other) =>
        one === other ||
        (one.length === other.length && one.every((reply, place) => isSame(reply, other[place] as Uint8Array))),
      onDifference: (key, nodes, copies) =>
        context.onDifference(
          key,
          nodes
            .filter((_, copy) => (copies & (1 << copy)) !== 0)
            .map((number) => (voters[number] as Voter).channels.wanted),
        ),
      isReachable: (node) => voters[node]?.isMember === true,
      processOf: (node) => voters[node]?.process ?? 0,
      isSlow: (node) => voters[node]?.isSilent === true,
      count: (event) => {
        counts[COUNTERS[event]]++;
        if (event === 'crowded') counts.commandsOverloaded++;
      },
    };
    const { consistency, reads, writes } = level;
    if (consistency === 'strong') return new Proposer(own);
    const isWeak = consistency === 'weak';
    return new QuorumProposer(own, {
      reads,
      writes,
      isHomed: isWeak,
      repairs: !isWeak,
      isAwaited: (node) => voters[node]?.isAwaited === true,
      isEventual: consistency === 'eventual',
      onMissed: (key, nodes, copies, step) => this.onMissed(key, nodes, copies, step),
      majority,
      versionClock: context.clock,
      alone,
      fuller,
    });
  }

  private onMissed(key: string, nodes: readonly number[], copies: number, step: Step<Commands, Value>): void {
    for (const [copy, node] of nodes.entries()) {
      if ((copies & (1 << copy)) !== 0) this.outbox.add((this.voters[node] as Voter).channels.wanted, key, step);
    }
    this.tickLater();
  }

  private onUnanswered(voter: Voter): void {
    this.untold.push(voter);
    // Within `submit` it is told at its end, and else when the node's answers have been seen to.
    this.tickLater();
  }

  private tellUntold(): void {
    while (this.untold.length > 0) {
      const voters = this.untold;
      this.untold = [];
      for (const voter of voters) voter.tellUnanswered();
    }
  }

  private tickLater(): void {
    if (this.isTicking) return;
    this.isTicking = true;
    const { transport } = this.context;
    transport.timers.set(transport.now + (this.untold.length > 0 ? 0 : TICK_MS), () => {
      this.isTicking = false;
      this.outbox.flush();
      this.tellUntold();
      let isActive = false;
      for (const proposer of this.proposers.values()) {
        proposer.onTime();
        isActive ||= proposer.isActive;
      }
      if (isActive || this.untold.length > 0) this.tickLater();
    });
  }
}

/** Of replies to the same put the one to tell: what one copy has deleted was there, though another has never had it. */
function fuller(one: Replies, other: Replies): Replies {
  const [first, second] = [one[0] as Uint8Array, other[0] as Uint8Array];
  return Buffer.compare(first, second) < 0 ? other : one;
}

/** The key as a proposer names it: a character a byte. */
function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
