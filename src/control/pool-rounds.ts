/**
 * Rounds of the control plane's own on the replicated keys of one pool (REPLICATION.md): the register that epochs are drawn
 * from (P1), identities that make the state of a key chosen (P3), and what has expired (X3). The decider is that of the workers;
 * here are its connections and its clock. A proposer of its own: no ballot of it is anybody else's.
 */
import { randomBytes } from 'node:crypto';
import type { NodeLimits } from '../base/limits.js';
import type { NodeSnapshot } from '../messages.js';
import { type Ballot, counterOf, epochOf, largest, makeBallot, NEVER, proposerNumber } from '../replica/ballot.js';
import { type Command, type Commands, NO_COMMANDS, type Replies, type Value } from '../replica/commands.js';
import { type Lineage, NO_LINEAGE } from '../replica/lineage.js';
import { clusterInForce } from '../replica/member.js';
import { EPOCH_KEY } from '../replica/meta.js';
import { encodeStep } from '../replica/node-step.js';
import type { Operation } from '../replica/operation.js';
import { Register } from '../replica/register.js';
import { quorumOf } from '../replica/repair.js';
import { bulkOf, textOf } from '../replica/reply-shape.js';
import { type Asker, type Outcome, Round, type RoundContext } from '../replica/round.js';
import type { Answer, KeyState, Step } from '../replica/step.js';
import { TYPE } from '../resp/frame.js';
import { bulkReply, parseInteger } from '../resp/reply.js';
import type { NodeLink } from './node-link.js';

const EPOCH = Buffer.from(EPOCH_KEY);

/** How often a round looks at the clock, milliseconds. */
const LOOK_MS = 5;
/** Nodes that the register of epochs is on, where the pool has so many; else as in a set of three. */
const EPOCH_COPIES = 5;

/** The places, among `nodes`, of those that have the register: the first ones by name. */
export function epochNodes(nodes: readonly Pick<NodeSnapshot, 'name' | 'index'>[]): number[] {
  const count = nodes.length < EPOCH_COPIES ? 3 : EPOCH_COPIES;
  const sorted = [...nodes].sort((one, other) => (one.name < other.name ? -1 : 1));
  return sorted.slice(0, count).map(({ index }) => index);
}

/**
 * The record that steps on keys carry to that node, one of `links`; null: its votes do not count. Members of two clusters have different states
 * under equal ballots: those of most count.
 */
export function recordInForce(link: NodeLink, links: Iterable<NodeLink>): string | null {
  const { record, standing } = link;
  if (record === null || standing?.kind !== 'member') return null;
  const ids = Array.from(links, ({ standing }) => (standing?.kind === 'member' ? standing.clusterId : null));
  return clusterInForce(ids) === standing.clusterId ? record : null;
}

type Times = Pick<NodeLimits, 'requestTimeoutMs' | 'replicatedPatienceMs'>;

export class PoolRounds {
  /** By the node's index. */
  private readonly links: ReadonlyMap<number, NodeLink>;
  private readonly epochNodes: readonly number[];
  private readonly limits: Times;
  /** By the key, a character a byte. */
  private readonly running = new Map<string, Promise<Outcome<Replies>>>();
  private readonly numbers = { proposer: drawProposer(), epoch: 0, counterFloor: 0 };

  constructor(links: ReadonlyMap<number, NodeLink>, epochNodes: readonly number[], limits: Times) {
    this.links = links;
    this.epochNodes = epochNodes;
    this.limits = limits;
  }

  /** An epoch larger than any that was drawn before, and than `above`. Null: the register has no quorum, or it is not known. */
  async drawEpoch(above: number): Promise<number | null> {
    const outcome = await this.run(EPOCH, this.epochNodes, drawing(above), null);
    const reply = outcome.kind === 'done' ? outcome.reply[0] : undefined;
    return reply === undefined ? null : Number(textOf(reply));
  }

  /** Makes the largest state of the key chosen anew, in an epoch not below `epoch`. Null: it is not known whether it is. */
  async settle(key: Uint8Array, nodes: readonly number[], epoch: number): Promise<KeyState<Value> | null> {
    this.numbers.epoch = Math.max(this.numbers.epoch, epoch);
    let [chosen, lineage]: [Ballot, Lineage] = [NEVER, NO_LINEAGE];
    const outcome = await this.run(key, nodes, dumping(key), null, (register) => {
      ({ chosen, lineage } = register);
    });
    if (outcome.kind !== 'done') return null;
    const [dump, expiry] = outcome.reply as [Uint8Array, Uint8Array];
    const value = dump[0] === TYPE.bulk ? bulkOf(dump) : null;
    const expireAt = Math.max(0, parseInteger(expiry, 0, expiry.length));
    return { accepted: chosen, lineage, live: value !== null, expireAt: value === null ? 0 : expireAt, value };
  }

  /** Brings all copies that can be reached to one chosen state. False: it is not known whether that was done. */
  async mend(key: Uint8Array, nodes: readonly number[]): Promise<boolean> {
    const state = await this.settle(key, nodes, 0);
    if (state === null) return false;
    const { accepted: next } = state;
    const answers = await Promise.all(
      nodes.map(async (node) => {
        const view = await this.ask(node, key, { kind: 'peek' });
        // Who has gone on since is behind nobody.
        if (view?.kind !== 'view' || view.accepted >= next) return view;
        return this.ask(node, key, { kind: 'install', state, next });
      }),
    );
    return answers.every((answer) => answer === null || ['view', 'ok', 'already'].includes(answer.kind));
  }

  /** Makes what the first of these nodes that can be reached has the state of all: they differ under one ballot. */
  async rewrite(key: Uint8Array, nodes: readonly number[]): Promise<boolean> {
    const outcome = await this.run(key, nodes, rewriting(key), null);
    return outcome.kind === 'done' && (await this.mend(key, nodes));
  }

  /** Writes off the state of that ballot, which somebody's clock has seen expire. */
  async expire(key: Uint8Array, nodes: readonly number[], accepted: Ballot): Promise<boolean> {
    const outcome = await this.run(key, nodes, dumping(key), accepted);
    return outcome.kind === 'done';
  }

  /**
   * Has all these nodes take it, under one version, that a key, weak or of consistency eventual, has no value any more. Each of them
   * has it under one of the versions `dead`, which are deleted or have expired. First all promise to take nothing below the new version, and say what they have by then: so nothing is
   * overwritten that somebody was given meanwhile, and who is given a larger one later keeps it. False: not all have.
   */
  async bury(key: Uint8Array, nodes: readonly number[], dead: ReadonlySet<Ballot>): Promise<boolean> {
    const askAll = (step: Step<Commands, Value>) => Promise.all(nodes.map((node) => this.ask(node, key, step)));
    let next = this.above([...dead].reduce(largest));
    let promises = await askAll({ kind: 'prepare', ballot: next });
    const refusals = promises.flatMap((answer) => (answer?.kind === 'refused' ? [answer.promised] : []));
    if (refusals.length > 0) {
      // A repair has raised the epoch there, or others sweep: above what they promised it is theirs, too.
      next = this.above(refusals.reduce(largest));
      promises = await askAll({ kind: 'prepare', ballot: next });
    }
    if (!promises.every((answer) => answer?.kind === 'ok' && 'accepted' in answer && dead.has(answer.accepted)))
      return false;
    const state = { accepted: next, lineage: NO_LINEAGE, live: false, expireAt: 0, value: null };
    const answers = await askAll({ kind: 'install', state, next });
    return answers.every((answer) => answer?.kind === 'ok' || answer?.kind === 'already');
  }

  private above(ballot: Ballot): Ballot {
    return makeBallot(epochOf(ballot), counterOf(ballot) + 1, this.numbers.proposer);
  }

  /** One round after another on a key: what the proposer has used of its ballots is known when a round has ended. */
  private async run(
    key: Uint8Array,
    nodes: readonly number[],
    operation: Operation<Commands, Replies>,
    expired: Ballot | null,
    onEnd: (register: Register) => void = () => {},
  ): Promise<Outcome<Replies>> {
    const name = Buffer.from(key).toString('latin1');
    for (let before = this.running.get(name); before !== undefined; before = this.running.get(name)) await before;
    const round = this.runAlone(key, name, nodes, operation, expired, onEnd);
    this.running.set(name, round);
    try {
      return await round;
    } finally {
      this.running.delete(name);
    }
  }

  private runAlone(
    key: Uint8Array,
    name: string,
    nodes: readonly number[],
    operation: Operation<Commands, Replies>,
    expired: Ballot | null,
    onEnd: (register: Register) => void,
  ): Promise<Outcome<Replies>> {
    return new Promise((resolve) => {
      const register = new Register(name, nodes, this.numbers);
      if (expired !== null) register.knownExpired = expired;
      const context: RoundContext<Commands, Replies, Value> = {
        quorum: quorumOf(nodes.length),
        none: NO_COMMANDS,
        now: () => performance.now(),
        clock: () => Date.now(),
        random: Math.random,
        send: (asker, copy, tag, step) => void this.send(key, asker, copy, tag, step),
        // It begins by asking all, and hears who does not answer.
        isReachable: () => true,
        finish: (_, outcome) => {
          clearInterval(timer);
          // Its ballots are not used again.
          register.forget();
          onEnd(register);
          resolve(outcome);
        },
        // Workers mend what they find behind; a repair has its own way.
        onBehind: () => {},
        // Rounds of the control plane carry out nothing that can be compared.
        areEqual: () => true,
        onDifference: () => {},
        count: () => {},
      };
      const { requestTimeoutMs, replicatedPatienceMs: patienceMs } = this.limits;
      const times = { deadlineMs: performance.now() + requestTimeoutMs, patienceMs };
      const round = new Round(register, operation, times, context);
      const timer = setInterval(() => {
        if (performance.now() >= round.dueMs) round.onTime();
      }, LOOK_MS);
      round.begin();
    });
  }

  private async send(
    key: Uint8Array,
    asker: Asker<Replies, Value>,
    copy: number,
    tag: number,
    step: Step<Commands, Value>,
  ): Promise<void> {
    // In any case later: a round is not told from inside a call that it makes.
    asker.onAnswer(copy, tag, await this.ask(asker.nodes[copy] as number, key, step));
  }

  /** An answer counts only from the member that was asked, and while it has said nothing else (M1). */
  private async ask(
    node: number,
    key: Uint8Array,
    step: Step<Commands, Value>,
  ): Promise<Answer<Replies, Value> | null> {
    const link = this.links.get(node);
    const record = link === undefined ? null : recordInForce(link, this.links.values());
    if (link === undefined || record === null) return null;
    return link.askMember(record, encodeStep(step, key, Buffer.from(record)));
  }
}

/** A number that no other proposer has. */
export function drawProposer(): string {
  const bits = randomBytes(8);
  return proposerNumber(bits.readUInt32BE(0), bits.readUInt32BE(4));
}

function commands(...list: Command[]): Commands {
  return { list, protocol: 3 };
}

function word(text: string): Uint8Array {
  return Buffer.from(text);
}

/** The next number, and none that was drawn before. */
function drawing(above: number): Operation<Commands, Replies> {
  return {
    reads: null,
    readReply: (replies) => replies,
    plan: (_, found) => {
      if (found === null) return { kind: 'read', commands: commands([word('GET'), EPOCH]) };
      const [last] = found as [Uint8Array];
      const next = String(Math.max(above, last[0] === TYPE.bulk ? Number(textOf(last)) : 0) + 1);
      // A pool whose nodes have no memory left can be repaired still.
      const write: Commands = { ...commands([word('SET'), EPOCH, word(next)]), isSmall: true };
      return { kind: 'all', commands: write, setsExpiry: 0, reply: () => [bulkReply(next)] };
    },
  };
}

/** Changes nothing, and shows the state at the moment at which it is accepted: its value and its expiry. */
function dumping(key: Uint8Array): Operation<Commands, Replies> {
  const reads = commands([word('DUMP'), key], [word('PEXPIRETIME'), key]);
  const readReply = (replies: Replies) => replies;
  return { reads, readReply, plan: () => ({ kind: 'all', commands: reads, setsExpiry: 0, reply: readReply }) };
}

/** What one copy has, the others are given. */
function rewriting(key: Uint8Array): Operation<Commands, Replies> {
  const { reads, readReply } = dumping(key);
  const shown = reads as Commands;
  return { reads: null, readReply, plan: () => ({ kind: 'one', commands: shown, reply: readReply }) };
}
