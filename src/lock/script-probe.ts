/**
 * Whether the nodes of a lock have a script that a client calls by its SHA1, and whose text nobody here knows: some other proxy was shown it, or this
 * one was restarted. Where one node has lost it none may be sent the call: those that have it would carry it out, while the client is told that
 * it is missing, and sends it again with its text. A lock that the first call gave back would not be found by the second.
 */
import { errorBytes } from '../base/errors.js';
import type { NodeLimits } from '../base/limits.js';
import type { Timer } from '../base/timers.js';
import type { Replicas } from '../replica/replicas.js';
import type { NotMember, Unable, Unsent } from '../replica/step.js';
import { errorReply } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import { ExistsStep, type KnownNodes, type ScriptAnswer } from './lock-keyspace-steps.js';
import { quorumOf } from './redlock.js';

interface ScriptProbeContext {
  transport: Transport;
  replicas: Replicas;
  known: KnownNodes;
}

const NOSCRIPT = errorReply('NOSCRIPT No matching script. Please use EVAL.');

export class ScriptProbe {
  /** Of no matter: what is asked is no step on one key. */
  readonly key = '';
  private readonly context: ScriptProbeContext;
  private readonly nodes: readonly number[];
  private readonly limits: NodeLimits;
  private readonly sha: string;
  private readonly done: (refusal: Uint8Array | null) => void;
  /** By copy; null: it did not say, undefined: not yet. */
  private readonly isThere: (boolean | null | undefined)[];
  private timer: Timer | null = null;
  private isOver = false;

  /** `done` is told once, never within `begin`: null where the call may be sent, else the error for the client; the call had no effect then. */
  constructor(
    context: ScriptProbeContext,
    nodes: readonly number[],
    limits: NodeLimits,
    sha: string,
    done: (refusal: Uint8Array | null) => void,
  ) {
    this.context = context;
    this.nodes = nodes;
    this.limits = limits;
    this.sha = sha;
    this.done = done;
    const { known, replicas } = context;
    this.isThere = nodes.map((node) => (known.hasScript(node, replicas.recordOf(node), sha) ? true : undefined));
  }

  /** Whether all are known to have it, and nobody is to be asked. */
  get isKnown(): boolean {
    return this.isThere.every((is) => is === true);
  }

  begin(): void {
    const { nodes, limits, context, sha } = this;
    const { transport, replicas, known } = context;
    const patienceMs = Math.min(limits.replicatedPatienceMs, limits.requestTimeoutMs);
    this.timer = transport.timers.set(transport.now + patienceMs, () => this.look(true));
    for (const [copy, node] of nodes.entries()) {
      if (this.isThere[copy] !== true) replicas.askNode(node, this, copy, 0, new ExistsStep(sha, node, known));
    }
  }

  onAnswer(copy: number, _tag: number, answer: ScriptAnswer | NotMember | Unable | Unsent | null): void {
    if (this.isOver) return;
    this.isThere[copy] = answer?.kind === 'script' ? answer.isThere : null;
    this.look(false);
  }

  /** `isLate`: who has not answered is not waited for any longer. */
  private look(isLate: boolean): void {
    const { isThere, context } = this;
    const isMissing = isThere.includes(false);
    if (!isMissing && !isLate && isThere.includes(undefined)) return;
    this.isOver = true;
    context.transport.timers.cancel(this.timer);
    const count = isThere.filter((is) => is === true).length;
    if (isMissing) this.done(NOSCRIPT);
    else if (count >= quorumOf(isThere.length)) this.done(null);
    else {
      const why = `${count} of ${isThere.length} nodes of the lock said that they have the script`;
      this.done(errorBytes('NOQUORUM', `${why}; the command had no effect`));
    }
  }
}
