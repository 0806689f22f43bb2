/**
 * Gives one node of a pool what it has missed, as soon as it is a member: its hints, oldest first, at a pace that leaves it time for clients.
 *
 *   (nothing to do, or no member) ──> a segment of the log ──> parcel by parcel, some hints at a time ──> the segment is removed
 *                                           ^                        └── an answer is missing: again, from these on
 *
 * A hint is carried out as the write would have been: by its version. Where the node may have forgotten a newer one, or the write has expired,
 * whatever the copies have is exchanged; so it is where the node takes no versions of that epoch any more, if any copy has that version or a
 * newer one. If none of all copies has, nothing newer is there to be overtaken: the node is given the same in its epoch.
 */
import { pause } from '../base/pause.js';
import { epochOf, inEpoch } from '../replica/ballot.js';
import { type Hint, putStep, readHints } from '../replica/hint.js';
import { encodeStep } from '../replica/node-step.js';
import type { AcceptAnswer } from '../replica/step.js';
import type { HintLog } from './hint-log.js';
import { exchangeKey, newestOf } from './key-exchange.js';
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
const TRIES = 3;

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
  const nodes = copiesOf(key);
  // The key has its copies elsewhere by now: who has a copy there has been given it.
  if (nodes === null || !nodes.includes(link.node.index)) return true;
  let asked = version;
  for (let tries = 0; tries < TRIES; tries++) {
    const record = recordInForce(link, links.values());
    if (record === null) return false;
    const step =
      put === null && state !== null
        ? ({ kind: 'install', state: { ...state, accepted: asked }, next: asked } as const)
        : putStep(put as NonNullable<Hint['put']>, asked);
    const answer = (await link.askMember(
      record,
      encodeStep(step, key, Buffer.from(record)),
    )) as AcceptAnswer<unknown> | null;
    switch (answer?.kind) {
      case 'ok':
      case 'already':
        return true;
      case 'refused':
        if (answer.epochFloor > epochOf(asked)) {
          const { version: newest, isOfAll } = await newestOf(links, key, nodes);
          if (newest < asked && !isOfAll) return false;
          if (newest < asked) {
            asked = inEpoch(asked, answer.epochFloor);
            continue;
          }
        } else if (answer.promised !== answer.collectFloor) return true;
        return (await exchangeKey(links, key, nodes)) !== null;
      case 'expired':
        return (await exchangeKey(links, key, nodes)) !== null;
      default:
        return false;
    }
  }
  return false;
}
