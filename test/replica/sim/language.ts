/**
 * What the simulation's clients say, and what nodes do about it: a key has a text, and perhaps an expiry. The little language has
 * one of each kind that makes trouble: blind writes and ones that build on what is there, expiries with every flag, what
 * depends on chance.
 */
import type { BaseFacts, Operation, Plan } from '../../../src/replica/operation.js';

export type Flag = '' | 'nx' | 'xx' | 'gt' | 'lt';

/** As a node carries them out. `at` is in milliseconds since 1970, 0 for none. */
export type Act =
  | { do: 'get' }
  /** Replies 1, or 0 when the flag forbade it. The expiry is set anew. */
  | { do: 'set'; text: string; at: number; flag: '' | 'nx' | 'xx' }
  /** Replies what there was. */
  | { do: 'getset'; text: string }
  | { do: 'del' }
  /** Replies the whole text. */
  | { do: 'append'; text: string }
  | { do: 'incr' }
  /** Replies 1 when the text was `old`. */
  | { do: 'swap'; old: string; text: string }
  /** Replies 1 when it changed the expiry. */
  | { do: 'expire'; at: number; flag: Flag }
  | { do: 'persist' }
  /** Reads: a number drawn by the node, when there is a text. */
  | { do: 'draw' }
  /** Writes: appends a number drawn by the node. Replies the whole text. */
  | { do: 'scribble' };

export type Acts = readonly Act[];
export type Reply = string | null;
export type Outcome = readonly Reply[];

/** What is there: null for nothing. */
export interface Content {
  text: string;
  /** Milliseconds since 1970; 0 for none. */
  expireAt: number;
}

/** Whether the flag lets an expiry at `at` be set there. As Redis: no expiry is later than all. */
export function flagAllows(flag: Flag, at: number, expireAt: number): boolean {
  if (flag === 'nx') return expireAt === 0;
  if (flag === 'xx') return expireAt !== 0;
  if (flag === 'gt') return expireAt !== 0 && at > expireAt;
  if (flag === 'lt') return expireAt === 0 || at < expireAt;
  return true;
}

/** Carries out one. `drawn`: what chance gives on that node. */
export function perform(content: Content | null, act: Act, drawn: () => number): [Content | null, Reply] {
  switch (act.do) {
    case 'get':
      return [content, content === null ? null : content.text];
    case 'set':
      if ((act.flag === 'nx' && content !== null) || (act.flag === 'xx' && content === null)) return [content, '0'];
      return [{ text: act.text, expireAt: act.at }, '1'];
    case 'getset':
      return [{ text: act.text, expireAt: 0 }, content === null ? null : content.text];
    case 'del':
      return [null, content === null ? '0' : '1'];
    case 'append': {
      const text = (content === null ? '' : content.text) + act.text;
      return [{ text, expireAt: content === null ? 0 : content.expireAt }, text];
    }
    case 'incr': {
      const number = content === null ? 0 : Number(content.text);
      if (!Number.isInteger(number)) return [content, 'not a number'];
      const text = String(number + 1);
      return [{ text, expireAt: content === null ? 0 : content.expireAt }, text];
    }
    case 'swap':
      if (content === null || content.text !== act.old) return [content, '0'];
      return [{ text: act.text, expireAt: content.expireAt }, '1'];
    case 'expire':
      if (content === null || !flagAllows(act.flag, act.at, content.expireAt)) return [content, '0'];
      return [{ text: content.text, expireAt: act.at }, '1'];
    case 'persist':
      if (content === null || content.expireAt === 0) return [content, '0'];
      return [{ text: content.text, expireAt: 0 }, '1'];
    case 'draw':
      return [content, content === null ? null : `~${drawn()}`];
    case 'scribble': {
      const text = `${content === null ? '' : content.text}~${drawn()}`;
      return [{ text, expireAt: content === null ? 0 : content.expireAt }, text];
    }
  }
}

export function isRead(act: Act): boolean {
  return act.do === 'get' || act.do === 'draw';
}

/** What a client asks for. As a command, but for `pick`: it draws a number and appends it, in two steps. */
export type Wish = Act | { do: 'pick' };

const DONE: Operation<Acts, Outcome>['readReply'] = (outcome) => outcome;

/** The wish in the forms that make equal states (rule W4). */
export function operationOf(wish: Wish): Operation<Acts, Outcome> {
  if (wish.do !== 'pick' && isRead(wish)) return { reads: [wish], readReply: DONE, plan: () => all([wish]) };
  const isPut = wish.do === 'del' || (wish.do === 'set' && wish.flag === '');
  return { reads: null, readReply: DONE, isPut, plan: (base, found) => planOf(wish, base, found) };
}

/** No commands, and its replies are none: an identity. */
export const NOTHING: Acts = [];

function planOf(wish: Wish, base: BaseFacts, found: Outcome | null): Plan<Acts, Outcome> {
  switch (wish.do) {
    case 'scribble':
      return { kind: 'one', commands: [wish], reply: DONE };
    case 'pick': {
      if (found === null) return { kind: 'read', commands: [{ do: 'draw' }] };
      const drawn = found[0] as Reply;
      return all([{ do: 'append', text: drawn ?? '~none' }]);
    }
    case 'set': {
      if (wish.at === 0 || !isPast(wish.at, base)) return all([wish], wish.at);
      const isAllowed = wish.flag === '' || (wish.flag === 'nx') !== base.live;
      return isAllowed ? deleting('1') : all([], 0, '0');
    }
    case 'expire': {
      if (!isPast(wish.at, base)) return all([wish], wish.at);
      const isAllowed = base.live && flagAllows(wish.flag, wish.at, base.expireAt);
      return isAllowed ? deleting('1') : all([], 0, '0');
    }
    default:
      return all([wish]);
  }
}

function isPast(at: number, base: BaseFacts): boolean {
  return base.isOwnExpired || at <= base.nowMs;
}

function all(commands: Acts, setsExpiry = 0, reply: Reply | undefined = undefined): Plan<Acts, Outcome> {
  return { kind: 'all', commands, setsExpiry, reply: reply === undefined ? DONE : () => [reply] };
}

function deleting(reply: Reply): Plan<Acts, Outcome> {
  return all([{ do: 'del' }], 0, reply);
}
