/**
 * How the copies of one key of consistency eventual are brought together, decided purely: steps to ask of copies out, all their answers in, null
 * for each that did not come or does not count. Nothing is agreed upon, and who writes meanwhile is not disturbed: a copy takes what is larger.
 */
import { type Ballot, epochOf, inEpoch } from './ballot.js';
import type { AcceptAnswer, Answer, KeyState, Step, ViewAnswer } from './step.js';

export interface CopyStep<C, V> {
  node: number;
  step: Step<C, V>;
}

export type Mending<C, R, V, T> = Generator<readonly CopyStep<C, V>[], T, readonly (Answer<R, V> | null)[]>;

interface Seen {
  node: number;
  accepted: Ballot;
}

/** So often a hint is begun again in another epoch. */
const TRIES = 3;
const NOBODY: Seen = { node: -1, accepted: '' };

/** Whoever has an older version is given the newest that any copy has that can be asked. Returns how many were; null: not all, or nobody knows. */
export function* exchange<C, R, V>(nodes: readonly number[]): Mending<C, R, V, number | null> {
  const seen = yield* peekAll<C, R, V>(nodes);
  const newest = seen.reduce(newer, NOBODY);
  const behind = seen.filter(({ accepted }) => accepted < newest.accepted);
  if (behind.length === 0) return 0;
  const [answer] = yield [{ node: newest.node, step: { kind: 'snapshot' } }];
  const view = (answer ?? null) as ViewAnswer<R, V> | null;
  if (view?.kind !== 'view') return null;
  const { accepted, lineage, live, expireAt, value } = view;
  const step = { kind: 'merge', state: { accepted, lineage, live, expireAt, value } } as const;
  const given = yield behind.map(({ node }) => ({ node, step }));
  return given.every(isGiven) ? behind.length : null;
}

/** Whether a copy that answers so to a merge has that state now, or a newer one. */
function isGiven<R, V>(answer: Answer<R, V> | null): boolean {
  return answer?.kind === 'ok' || answer?.kind === 'already' || answer?.kind === 'refused';
}

/**
 * Gives a node what it has missed of a write, as the write would have been carried out: by its version. Where the node may have forgotten a
 * newer one, or the write has expired, whatever the copies have is exchanged; so it is where the node takes no versions of that epoch any more,
 * if any copy has that version or a newer one. If none of all copies has, nothing newer is there to be overtaken: the node is given the same in
 * its epoch. Returns whether the node has it now, or something newer.
 */
export function* giveMissed<C, R, V>(
  node: number,
  nodes: readonly number[],
  version: Ballot,
  stepOf: (version: Ballot) => Step<C, V>,
): Mending<C, R, V, boolean> {
  let asked = version;
  for (let tries = 0; tries < TRIES; tries++) {
    const [answer] = (yield [{ node, step: stepOf(asked) }]) as readonly (AcceptAnswer<R> | null)[];
    switch (answer?.kind) {
      case 'ok':
      case 'already':
        return true;
      case 'refused':
        if (answer.epochFloor > epochOf(asked)) {
          const seen = yield* peekAll<C, R, V>(nodes);
          if (seen.reduce(newer, NOBODY).accepted < asked) {
            if (seen.length < nodes.length) return false;
            asked = inEpoch(asked, answer.epochFloor);
            continue;
          }
        } else if (answer.promised !== answer.collectFloor) return true;
        return (yield* exchange<C, R, V>(nodes)) !== null;
      case 'expired':
        return (yield* exchange<C, R, V>(nodes)) !== null;
      default:
        return false;
    }
  }
  return false;
}

/** The step by which a state is written as a put is: no floor is passed over. */
export function installOf<C, V>(state: KeyState<V>, version: Ballot): Step<C, V> {
  return { kind: 'install', state: { ...state, accepted: version }, next: version };
}

/** Of the copies that can be asked. */
function* peekAll<C, R, V>(nodes: readonly number[]): Mending<C, R, V, Seen[]> {
  const answers = yield nodes.map((node) => ({ node, step: { kind: 'peek' } as const }));
  return answers.flatMap((answer, place) => {
    return answer?.kind === 'view' ? [{ node: nodes[place] as number, accepted: answer.accepted }] : [];
  });
}

function newer(one: Seen, other: Seen): Seen {
  return other.accepted > one.accepted ? other : one;
}
