/**
 * How the copies of one key of consistency eventual are brought together, decided purely: steps to ask of copies out, all their answers in, null
 * for each that did not come or does not count. Nothing is agreed upon, and who writes meanwhile is not disturbed: a copy takes what is larger.
 */
import { type Ballot, epochOf, inEpoch, NEVER } from './ballot.js';
import { NO_LINEAGE } from './lineage.js';
import type { AcceptAnswer, Answer, KeyState, Step, ViewAnswer } from './step.js';

export interface CopyStep<C, V> {
  node: number;
  step: Step<C, V>;
}

export type Mending<C, R, V, T> = Generator<readonly CopyStep<C, V>[], T, readonly (Answer<R, V> | null)[]>;

/** What came of an exchange. Where none was behind, and not all have said what they have, nobody knows whether they are equal. */
export interface Exchanged {
  /** All copies have said what they have. */
  isWhole: boolean;
  /** Copies that were behind another one, and those of these that have the newest now, or something newer. */
  behind: number;
  given: number;
}

/** What came of giving a node what it has missed. */
export type Given =
  /** It has it, or something newer; or nobody knows of it any more. */
  | { kind: 'given' }
  /** It did not answer. */
  | { kind: 'silent' }
  /** It does not take it now, for that reason; it may take others. */
  | { kind: 'refused'; why: string };

interface Copies {
  /** By node, the version that it has for all that is known. */
  versions: ReadonlyMap<number, Ballot>;
  newest: Ballot;
  exchanged: Exchanged;
}

interface Seen {
  node: number;
  accepted: Ballot;
}

/** So often a hint is begun again under another version. */
const TRIES = 3;
const NOBODY: Seen = { node: -1, accepted: '' };
const GIVEN = { kind: 'given' } as const;
const SILENT = { kind: 'silent' } as const;
const OTHERS_AWAY = 'another copy, which may have something newer, cannot be asked';

/** Whoever has an older version is given the newest that any copy has that can be asked. */
export function* exchange<C, R, V>(nodes: readonly number[]): Mending<C, R, V, Exchanged> {
  return (yield* level<C, R, V>(nodes)).exchanged;
}

/**
 * Gives a node what it has missed of a write, as the write would have been carried out: by its version. Where it refuses, what it has decides, and
 * not what it has promised somebody: who has that version or a newer one has nothing missed, and who has an older one is given the newest that any
 * copy has. If that is older, too, nothing newer is there to be overtaken, once all copies have said so: where the node takes no versions of that
 * epoch any more, it is given the same in its epoch. Unless it may have forgotten a newer one, with others that were deleted: then it is left out.
 */
export function* giveMissed<C, R, V>(
  node: number,
  nodes: readonly number[],
  version: Ballot,
  stepOf: (version: Ballot) => Step<C, V>,
): Mending<C, R, V, Given> {
  let asked = version;
  for (let tries = 0; tries < TRIES; tries++) {
    const [answer] = (yield [{ node, step: stepOf(asked) }]) as readonly (AcceptAnswer<R> | null)[];
    switch (answer?.kind) {
      case 'ok':
      case 'already':
        return GIVEN;
      case 'unable':
        return { kind: 'refused', why: textOf(answer.error) };
      case 'refused':
      case 'expired':
        break;
      default:
        return SILENT;
    }
    if (answer.kind === 'refused' && answer.accepted >= asked) return GIVEN;
    const { versions, newest, exchanged } = yield* level<C, R, V>(nodes);
    const own = versions.get(node);
    if (own === undefined) return SILENT;
    if (own >= asked) return GIVEN;
    if (newest >= asked) return { kind: 'refused', why: 'it did not take what another copy has' };
    if (!exchanged.isWhole) return { kind: 'refused', why: OTHERS_AWAY };
    if (answer.kind === 'expired') {
      // What it had overwritten is not to be seen again.
      const step = { kind: 'merge', state: goneAt<V>(asked) } as const;
      const [merged] = yield [{ node, step }];
      return isGiven(merged ?? null) ? GIVEN : SILENT;
    }
    if (own === NEVER && answer.promised === answer.collectFloor) return GIVEN;
    if (answer.epochFloor <= epochOf(asked))
      return { kind: 'refused', why: 'it has promised somebody a larger version' };
    asked = inEpoch(asked, answer.epochFloor);
  }
  return { kind: 'refused', why: 'others were faster again and again' };
}

/** The step by which a state is written as a put is: no floor is passed over. */
export function installOf<C, V>(state: KeyState<V>, version: Ballot): Step<C, V> {
  return { kind: 'install', state: { ...state, accepted: version }, next: version };
}

/** Asks all what they have, and gives the newest to those that have something older. */
function* level<C, R, V>(nodes: readonly number[]): Mending<C, R, V, Copies> {
  const views = yield nodes.map((node) => ({ node, step: { kind: 'peek' } as const }));
  const seen = views.flatMap((answer, place): Seen[] => {
    return answer?.kind === 'view' ? [{ node: nodes[place] as number, accepted: answer.accepted }] : [];
  });
  const versions = new Map(seen.map(({ node, accepted }) => [node, accepted]));
  const newest = seen.reduce((one, other) => (other.accepted > one.accepted ? other : one), NOBODY);
  const late = seen.filter(({ accepted }) => accepted < newest.accepted);
  const [behind, isWhole] = [late.length, seen.length === nodes.length];
  const copies = { versions, newest: newest.accepted, exchanged: { isWhole, behind, given: 0 } };
  if (behind === 0) return copies;
  const [answer] = yield [{ node: newest.node, step: { kind: 'snapshot' } }];
  const view = (answer ?? null) as ViewAnswer<R, V> | null;
  if (view?.kind !== 'view') return copies;
  const { accepted, lineage, live, expireAt, value } = view;
  const step = { kind: 'merge', state: { accepted, lineage, live, expireAt, value } } as const;
  const answers = yield late.map(({ node }) => ({ node, step }));
  for (const [place, { node }] of late.entries()) {
    if (!isGiven(answers[place] ?? null)) continue;
    copies.exchanged.given++;
    versions.set(node, accepted);
  }
  return copies;
}

/** Whether a copy that answers so to a merge has that state now, or a newer one. */
function isGiven<R, V>(answer: Answer<R, V> | null): boolean {
  return answer?.kind === 'ok' || answer?.kind === 'already' || answer?.kind === 'refused';
}

/** What is left of a write whose expiry has passed. */
function goneAt<V>(accepted: Ballot): KeyState<V> {
  return { accepted, lineage: NO_LINEAGE, live: false, expireAt: 0, value: null };
}

function textOf(error: Uint8Array): string {
  return Buffer.from(error).toString().trimEnd();
}
