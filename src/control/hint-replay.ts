/**
 * Gives one node of a pool what it has missed, as soon as it is a member: its hints, oldest first, at a pace that leaves it time for clients.
 *
 *   (nothing to do, or no member) ──> a segment of the log ──> parcel by parcel, some hints at a time ──> the segment is removed
 *                                           ^                        └── an answer is missing: again, from these on
 *
 * What is done of each hint is said by `mending`.
 */
import { pause } from '../base/pause.js';
import type { Ballot } from '../replica/ballot.js';
import type { Commands, Value } from '../replica/commands.js';
import { type Hint, putStep, readHints } from '../replica/hint.js';
import { giveMissed, installOf } from '../replica/mending.js';
import type { Step } from '../replica/step.js';
import type { HintLog } from './hint-log.js';
import { mendKey } from './key-exchange.js';
import type { NodeLink } from './node-link.js';
import { Pace } from './pace.js';
import { recordInForce } from './pool-rounds.js';

export interface HintReplayOptions {
  /** By the node's index. */
  links: ReadonlyMap<number, NodeLink>;
  /** The one that is given its hints. */
  link: NodeLink;
  /** Those that have a copy of the key; null: none of this pool. */
  copiesOf: (key: Uint8Array) => readonly number[] | null;
  /** Null: there is nothing for it. */
  hints: () => HintLog | null;
  /** The oldest that a hint may be, in milliseconds since 1970. */
  oldestMs: () => number;
  keysPerSecond: number;
  stopped: AbortSignal;
}

const LOOK_MS = 100;
/** Before a node that could not take a hint is asked again. */
const RETRY_MS = 1_000;
/** Under way at a time: they come in one piece, and are carried out in their order. */
const TOGETHER = 64;

/** Until it is stopped. */
export async function replayHints(options: HintReplayOptions): Promise<void> {
  const { hints, stopped, link, links } = options;
  while (!stopped.aborted) {
    const log = recordInForce(link, links.values()) === null ? null : hints();
    if (log === null) {
      await pause(LOOK_MS, stopped);
      continue;
    }
    if (await replaySegment(log, options)) await log.removeFirst();
  }
}

/** False: it was stopped before. */
async function replaySegment(log: HintLog, options: HintReplayOptions): Promise<boolean> {
  const { stopped, oldestMs, keysPerSecond } = options;
  const pace = new Pace(keysPerSecond);
  for (const parcel of await log.first()) {
    const rest = [...readHints(Buffer.from(parcel.buffer, parcel.byteOffset, parcel.length))];
    while (rest.length > 0) {
      if (stopped.aborted) return false;
      const together = rest.slice(0, TOGETHER);
      const done = await Promise.all(
        together.map((hint) => (hint.madeAtMs < oldestMs() ? Promise.resolve(true) : give(hint, options))),
      );
      const missing = done.indexOf(false);
      rest.splice(0, missing < 0 ? together.length : missing);
      const waitMs = missing < 0 ? pace.note(together.length) : RETRY_MS;
      if (waitMs > 0) await pause(waitMs, stopped);
    }
  }
  return true;
}

/** Whether the node has it now, or something newer. */
async function give({ key, version, put, state }: Hint, options: HintReplayOptions): Promise<boolean> {
  const { link, links, copiesOf } = options;
  const { index } = link.node;
  const nodes = copiesOf(key);
  // The key has its copies elsewhere by now: who has a copy there has been given it.
  if (nodes === null || !nodes.includes(index)) return true;
  const stepOf = (asked: Ballot): Step<Commands, Value> => {
    return state === null ? putStep(put as NonNullable<Hint['put']>, asked) : installOf(state, asked);
  };
  return mendKey(links, key, giveMissed(index, nodes, version, stepOf));
}
