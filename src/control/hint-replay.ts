/**
 * Gives one node of a pool what it has missed, as soon as it is a member: its hints, oldest first, at a pace that leaves it time for clients.
 *
 *   (nothing to do, or no member) ──> a segment of the log ──> some hints at a time ──> the segment is removed
 *                                           ^                    │  └── no answer: again, from these on
 *                                           │                    └── refused: once more behind the others of the segment
 *                                           └── and then as the last of the log: set aside
 *
 * What is done of each hint is said by `mending`.
 */
import { pause } from '../base/pause.js';
import type { Ballot } from '../replica/ballot.js';
import type { Commands, Value } from '../replica/commands.js';
import { type Hint, putStep, readHints } from '../replica/hint.js';
import { type Given, giveMissed, installOf } from '../replica/mending.js';
import type { Step } from '../replica/step.js';
import { timeOf } from '../replica/version-clock.js';
import type { HintLog, HintSegment } from './hint-log.js';
import { type KeyExchange, mendKey } from './key-exchange.js';
import type { NodeLink } from './node-link.js';
import { bytesAsKeys, Pace } from './pace.js';
import { recordInForce } from './pool-rounds.js';

export interface HintReplayOptions extends KeyExchange {
  /** The one that is given its hints. */
  link: NodeLink;
  /** Those that have a copy of the key; null: none of this pool. */
  copiesOf: (key: Uint8Array) => readonly number[] | null;
  /** Null: there is nothing for it. */
  hints: () => HintLog | null;
  /** The oldest that a hint may be, in milliseconds since 1970. */
  oldestMs: () => number;
  keysPerSecond: number;
  /** Of the hints that are under way at a time; a larger one goes alone. */
  bytesMax: number;
  /** The node has what was written then, in milliseconds since 1970. */
  onGiven: (writtenAtMs: number) => void;
  /** One was left out: it was too old. */
  onOld: () => void;
  /** So many stand behind all others again: the node refuses them, for that reason. */
  onSetAside: (hints: number, why: string) => void;
  stopped: AbortSignal;
}

const LOOK_MS = 100;
/** Before a node that has not answered, or that refuses all it is given, is asked again. */
const RETRY_MS = 1_000;
/** Under way at a time: they come in one piece, and are carried out in their order. */
const TOGETHER = 64;
/** So often what a node refuses is tried before it is set aside. */
const TRIES = 3;

/** Until it is stopped. */
export async function replayHints(options: HintReplayOptions): Promise<void> {
  const { hints, stopped, link, links } = options;
  while (!stopped.aborted) {
    const log = recordInForce(link, links.values()) === null ? null : hints();
    const segment = (await log?.first()) ?? null;
    if (log === null || segment === null) {
      await pause(LOOK_MS, stopped);
      continue;
    }
    const isDone = await new SegmentReplay(log, segment, options).run();
    if (isDone) await log.remove(segment);
    else log.leave(segment);
  }
}

class SegmentReplay {
  private readonly log: HintLog;
  private readonly segment: HintSegment;
  private readonly options: HintReplayOptions;
  private readonly pace: Pace;
  private refused: Hint[] = [];
  private why = '';

  constructor(log: HintLog, segment: HintSegment, options: HintReplayOptions) {
    this.log = log;
    this.segment = segment;
    this.options = options;
    this.pace = new Pace(options.keysPerSecond);
  }

  /** False: it was stopped before. */
  async run(): Promise<boolean> {
    const { stopped } = this.options;
    for (const { parcel } of this.segment.records) {
      await this.give([...readHints(Buffer.from(parcel.buffer, parcel.byteOffset, parcel.length))]);
      if (stopped.aborted) return false;
    }
    for (let tries = 1; this.refused.length > 0 && tries < TRIES; tries++) {
      const { refused } = this;
      this.refused = [];
      await this.give(refused);
      if (stopped.aborted) return false;
    }
    return this.setAside();
  }

  /** In their order. What is refused joins the others that were. */
  private async give(hints: readonly Hint[]): Promise<void> {
    const { stopped, bytesMax } = this.options;
    let rest = [...hints];
    while (rest.length > 0 && !stopped.aborted) {
      const together = rest.splice(0, countOf(rest, bytesMax));
      const answers = await Promise.all(together.map((hint) => this.giveOne(hint)));
      const kinds = answers.map(({ kind }) => kind);
      for (const [place, answer] of answers.entries()) {
        if (answer.kind !== 'refused') continue;
        this.refused.push(together[place] as Hint);
        this.why = answer.why;
      }
      rest = [...together.filter((_, place) => kinds[place] === 'silent'), ...rest];
      const bytes = together.reduce((sum, hint) => sum + hint.bytes.length, 0);
      const waitMs = this.pace.note(Math.max(together.length, bytesAsKeys(bytes)));
      const isInVain = kinds.includes('silent') || !kinds.includes('given');
      if (isInVain || waitMs > 0) await pause(Math.max(waitMs, isInVain ? RETRY_MS : 0), stopped);
    }
  }

  private async giveOne({ key, version, put, state, madeAtMs }: Hint): Promise<Given> {
    const { link, copiesOf, oldestMs, onGiven, onOld } = this.options;
    const { index } = link.node;
    if (madeAtMs < oldestMs()) {
      onOld();
      return { kind: 'given' };
    }
    const nodes = copiesOf(key);
    // The key has its copies elsewhere by now: who has a copy there has been given it.
    if (nodes === null || !nodes.includes(index)) return { kind: 'given' };
    const stepOf = (asked: Ballot): Step<Commands, Value> => {
      return state === null ? putStep(put as NonNullable<Hint['put']>, asked) : installOf(state, asked);
    };
    const answer = await mendKey(this.options, key, giveMissed(index, nodes, version, stepOf));
    if (answer.kind === 'given') onGiven(timeOf(version));
    return answer;
  }

  /** Whether all that is left stands behind the other segments. */
  private async setAside(): Promise<boolean> {
    const { refused } = this;
    if (refused.length === 0) return true;
    const parcel = Buffer.concat(refused.map(({ bytes }) => bytes));
    const oldestMs = refused.reduce((least, { madeAtMs }) => Math.min(least, madeAtMs), Number.POSITIVE_INFINITY);
    const newestMs = refused.reduce((most, { madeAtMs }) => Math.max(most, madeAtMs), 0);
    this.options.onSetAside(refused.length, this.why);
    return this.log.append(parcel, refused.length, oldestMs, newestMs);
  }
}

/** How many of the first may be under way together. */
function countOf(hints: readonly Hint[], bytesMax: number): number {
  let bytes = 0;
  for (const [place, hint] of hints.entries()) {
    bytes += hint.bytes.length;
    if (place === TOGETHER || (place > 0 && bytes > bytesMax)) return place;
  }
  return hints.length;
}
