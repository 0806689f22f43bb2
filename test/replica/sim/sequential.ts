/**
 * What one client alone would see of a key: the checker's model. Chance may have drawn any of its numbers, and what has an expiry
 * may be gone as soon as any clock has passed it (rule X1), for good.
 */
import type { Call, Model } from '../../help/linearizability.js';
import { type Content, perform, type Reply, type Wish } from './language.js';

/** Numbers that a node draws are below. */
export const DRAWN_END = 4;

export interface Asked {
  wish: Wish;
  /** The latest that any clock showed before the answer came; Infinity when none came. */
  latestMs: number;
}

export type SimCall = Call<Asked, Reply>;

/** `''` is nothing, else the expiry and the text. */
function stateOf(content: Content | null): string {
  return content === null ? '' : `${content.expireAt}:${content.text}`;
}

function contentOf(state: string): Content | null {
  if (state === '') return null;
  const colon = state.indexOf(':');
  return { expireAt: Number(state.slice(0, colon)), text: state.slice(colon + 1) };
}

export const SEQUENTIAL: Model<Asked, Reply> = {
  initial: '',

  step(state, { input, outcome }) {
    const found: string[] = [];
    const content = contentOf(state);
    const starts =
      content !== null && content.expireAt > 0 && content.expireAt <= input.latestMs ? [content, null] : [content];
    for (const start of starts) {
      for (const [after, reply] of results(start, input.wish)) {
        if (outcome.kind === 'answered' && outcome.output !== reply) continue;
        const next = stateOf(after);
        if (!found.includes(next)) found.push(next);
      }
    }
    return found;
  },

  effect: ({ input }) => JSON.stringify(input.wish),

  changedNothing({ input, outcome }) {
    if (outcome.kind !== 'answered') return false;
    const { wish } = input;
    if (wish.do === 'get' || wish.do === 'draw') return true;
    return wish.do === 'swap' && outcome.output === '0';
  },

  describe({ input, outcome }) {
    return `${describeWish(input.wish)} -> ${outcome.kind === 'answered' ? outcome.output : outcome.kind}`;
  },

  describeState: (state) => (state === '' ? 'nothing' : state),
};

export function describeWish(wish: Wish): string {
  return Object.values(wish).join(' ').trimEnd();
}

function results(content: Content | null, wish: Wish): readonly [Content | null, Reply][] {
  if (wish.do === 'pick') {
    return drawn(content !== null).map((text) => perform(content, { do: 'append', text }, noChance));
  }
  if (wish.do === 'draw' || wish.do === 'scribble') {
    return Array.from({ length: DRAWN_END }, (_, number) => perform(content, wish, () => number));
  }
  return [perform(content, wish, noChance)];
}

function drawn(isThere: boolean): string[] {
  return isThere ? Array.from({ length: DRAWN_END }, (_, number) => `~${number}`) : ['~none'];
}

function noChance(): number {
  throw new Error('nothing is drawn here');
}
