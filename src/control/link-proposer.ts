/**
 * Operations of the control plane's own on replicated keys that are asked for again and again: the workers' proposer, over connections of
 * the main thread. It remembers of a key what makes the next read or write one round trip, where PoolRounds begins anew each time.
 *
 *   run ──> Proposer ──steps──> NodeLink ──frames──> node
 *               ^──── answers ─────┘
 */
import type { NodeLimits } from '../base/limits.js';
import { type Commands, NO_COMMANDS, type Replies, type Value } from '../replica/commands.js';
import { encodeStep } from '../replica/node-step.js';
import type { Operation } from '../replica/operation.js';
import { Proposer } from '../replica/proposer.js';
import { quorumOf } from '../replica/repair.js';
import type { Asker, Outcome } from '../replica/round.js';
import type { Answer, Step } from '../replica/step.js';
import type { NodeLink } from './node-link.js';
import { drawProposer, recordInForce } from './pool-rounds.js';

/** How often operations under way look at the clock, milliseconds: who was overtaken waits for one or two before it tries again. */
const LOOK_MS = 1;
/** Keys of which something is remembered, and operations that may wait for their turn on one. */
const KEYS_MAX = 1_000;
const KEY_QUEUE_MAX = 1_000;
/** Of steps that one node has not answered. */
const NODE_BYTES_MAX = 64 * 1024 * 1024;

const UNSENT = { kind: 'unsent' } as const;

/** What one node has been asked, and has not answered. */
interface Asked {
  bytes: number;
  steps: number;
  /** Since when nothing has come, though something was asked. */
  sinceMs: number;
}

export interface LinkProposerOptions {
  /** To the nodes that have the copies: all keys have the same. */
  links: readonly NodeLink[];
  limits: Pick<NodeLimits, 'replicatedPatienceMs'>;
  /** See ProposerContext. */
  onDifference: (key: string, links: readonly NodeLink[]) => void;
}

export class LinkProposer {
  private readonly links: readonly NodeLink[];
  private readonly asked: Asked[];
  private readonly places: readonly number[];
  private readonly proposer: Proposer<Commands, Replies, Value>;
  private readonly ending = new Set<(outcome: null) => void>();
  private timer: NodeJS.Timeout | null = null;
  /** Of the operation that is submitted. */
  private timeoutMs = 0;
  private isClosed = false;

  constructor({ links, limits, onDifference }: LinkProposerOptions) {
    this.links = links;
    this.asked = links.map(() => ({ bytes: 0, steps: 0, sinceMs: 0 }));
    this.places = links.map((_, place) => place);
    const now = () => performance.now();
    const timeoutMs = () => this.timeoutMs;
    this.proposer = new Proposer<Commands, Replies, Value>({
      quorum: quorumOf(links.length),
      none: NO_COMMANDS,
      proposer: drawProposer(),
      get timeoutMs() {
        return timeoutMs();
      },
      patienceMs: limits.replicatedPatienceMs,
      linesMax: KEYS_MAX,
      keyQueueMax: KEY_QUEUE_MAX,
      now,
      clock: () => Date.now(),
      random: Math.random,
      send: (asker, copy, tag, step) => void this.send(asker, copy, tag, step),
      areEqual: (one, other) => Buffer.compare(Buffer.concat(one), Buffer.concat(other)) === 0,
      onDifference: (key, _, copies) => {
        onDifference(
          key,
          this.links.filter((_, copy) => (copies & (1 << copy)) !== 0),
        );
      },
      isReachable: (place) => this.recordOf(place) !== null,
      // Nobody walks a hash table here.
      processOf: () => 0,
      isSlow: (place) => {
        const { steps, sinceMs } = this.asked[place] as Asked;
        return steps > 0 && now() - sinceMs > limits.replicatedPatienceMs;
      },
      count: () => {},
    });
  }

  /** `key`: its bytes, a character each. Null: nothing was heard in time, or it was closed; it may be carried out yet. */
  run(key: string, operation: Operation<Commands, Replies>, timeoutMs: number): Promise<Outcome<Replies> | null> {
    if (this.isClosed) return Promise.resolve({ kind: 'no-quorum' });
    return new Promise((resolve) => {
      const end = (outcome: Outcome<Replies> | null) => {
        clearTimeout(limit);
        this.ending.delete(end);
        resolve(outcome);
      };
      // What waits for its turn behind another operation is told when that ends.
      const limit = setTimeout(() => end(null), timeoutMs);
      this.ending.add(end);
      this.timeoutMs = timeoutMs;
      this.proposer.submit(key, this.places, operation, { onOutcome: end });
      this.watch();
    });
  }

  close(): void {
    this.isClosed = true;
    if (this.timer !== null) clearInterval(this.timer);
    for (const end of this.ending) end(null);
  }

  private recordOf(place: number): string | null {
    return recordInForce(this.links[place] as NodeLink, this.links);
  }

  private watch(): void {
    if (this.timer !== null || this.isClosed) return;
    this.timer = setInterval(() => {
      this.proposer.onTime();
      if (this.proposer.isActive || this.timer === null) return;
      clearInterval(this.timer);
      this.timer = null;
    }, LOOK_MS);
  }

  private async send(
    asker: Asker<Replies, Value>,
    copy: number,
    tag: number,
    step: Step<Commands, Value>,
  ): Promise<void> {
    const answer = await this.ask(asker.nodes[copy] as number, asker.key, step);
    asker.onAnswer(copy, tag, answer);
    // A mend may have begun with it, for which nobody waits.
    if (this.proposer.isActive) this.watch();
  }

  private async ask(place: number, key: string, step: Step<Commands, Value>): Promise<Answer<Replies, Value> | null> {
    const record = this.recordOf(place);
    const asked = this.asked[place] as Asked;
    const isWrite = step.kind === 'accept' || step.kind === 'install';
    if (record === null || asked.bytes > NODE_BYTES_MAX) return isWrite ? UNSENT : null;
    const request = encodeStep(step, Buffer.from(key, 'latin1'), Buffer.from(record));
    const { length } = request.frames;
    if (asked.steps === 0) asked.sinceMs = performance.now();
    asked.steps++;
    asked.bytes += length;
    const answer = await (this.links[place] as NodeLink).askMember(record, request);
    asked.steps--;
    asked.bytes -= length;
    asked.sinceMs = performance.now();
    return answer;
  }
}
