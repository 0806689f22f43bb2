/** One Redis key as a sequential object, for `linearizability`: a register, a counter, a text, or a list. */
import type { Call, Model } from './linearizability.js';

/** Values have no line feed in them. */
export type Asked =
  | { kind: 'get' }
  /** `lifeMs`: as PX has it; times of calls are then milliseconds. */
  | { kind: 'set'; value: string; lifeMs?: number }
  | { kind: 'set-absent'; value: string; lifeMs?: number }
  | { kind: 'del' }
  | { kind: 'incr' }
  | { kind: 'append'; value: string }
  /** Compare and set, by a script: 1 if the value was `expected`, else 0. */
  | { kind: 'cas'; expected: string; value: string }
  | { kind: 'push'; value: string }
  /** The whole list. */
  | { kind: 'range' };

/** As Redis answers: 'OK', a value, null, a number, a list; an error as its text, `WRONGTYPE …`. */
export type Answered = string | number | null | readonly string[];

export type KeyCall = Call<Asked, Answered>;

export interface KeyModelOptions {
  /** How far a clock that decides on expiry may be from that of the calls' times, in milliseconds. */
  skewMs?: number;
}

/*
 * A state: '' for no value, 's' and the text, or 'l', the number of elements, and each after a line feed. Before one that
 * expires: 'e', the earliest and the latest time of that, and a line feed.
 */
const NONE = '';
/** In the place of all values that no answer tells from each other: many orders of calls are one then. */
const UNSEEN = '(one that no answer shows)';
const LIST_SHOWN_MAX = 30;
const NOT_INTEGER = 'ERR value is not an integer or out of range';
const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

interface Life {
  earliest: number;
  latest: number;
}

/** What counts of a call. */
interface Told {
  call: KeyCall;
  input: Asked;
  /** A list as a state; undefined for one that is not known. */
  output: string | number | null | undefined;
}

/** A model of one key, for these calls and no others. */
export function keyModel(calls: readonly KeyCall[], { skewMs = 0 }: KeyModelOptions = {}): Model<Asked, Answered> {
  const longest = onlyGrows(calls) ? longestList(calls) : null;
  const seen = longest !== null ? new Set<Answered>(longest) : isOfValues(calls) ? valuesSeen(calls) : null;
  const known = new Map(calls.map((call) => [call, tell(call, seen)]));
  const told = (call: KeyCall) => known.get(call) ?? tell(call, seen);
  const model: Model<Asked, Answered> = {
    initial: NONE,
    step: (state, call, by) => step(state, told(call), by, skewMs),
    effect: (call) => JSON.stringify([told(call).input, 'lifeMs' in call.input ? call.askedAt : 0]),
    changedNothing,
    describe,
    describeState,
  };
  if (longest !== null) {
    // A list that only grows went through beginnings of what it became, and through nothing else.
    const all = elementsText(listState(longest));
    model.isPossible = (state) => {
      const own = elementsText(state);
      return all.startsWith(own) || own.startsWith(all);
    };
  }
  return model;
}

function tell(call: KeyCall, seen: ReadonlySet<Answered> | null): Told {
  const { input, outcome } = call;
  const isSeen = seen === null || !('value' in input) || seen.has(input.value);
  const output = outcome.kind === 'answered' ? outcome.output : undefined;
  return {
    call,
    input: isSeen ? input : { ...input, value: UNSEEN },
    output: isList(output) ? listState(output) : output,
  };
}

function isList(output: Answered | undefined): output is readonly string[] {
  return Array.isArray(output);
}

function step(state: string, told: Told, by: number, skewMs: number): readonly string[] {
  if (!state.startsWith('e')) return apply(state, null, told, by, skewMs);
  const end = state.indexOf('\n');
  const [earliest, latest] = state.slice(1, end).split(' ').map(Number) as [number, number];
  const after: string[] = [];
  if (told.call.askedAt <= latest) after.push(...apply(state.slice(end + 1), { earliest, latest }, told, by, skewMs));
  if (by >= earliest) after.push(...apply(NONE, null, told, by, skewMs));
  return after;
}

/** `state` without its `life`. */
function apply(state: string, life: Life | null, { call, input, output }: Told, by: number, skewMs: number): string[] {
  const effect = effectOf(state, input);
  if (output !== undefined && effect.output !== output) return [];
  const { after } = effect;
  if (after === NONE) return [NONE];
  const isSet = input.kind === 'set' || (input.kind === 'set-absent' && state === NONE);
  if (!isSet) return [life === null ? after : `e${life.earliest} ${life.latest}\n${after}`];
  if (input.lifeMs === undefined) return [after];
  const earliest = call.askedAt + input.lifeMs - skewMs;
  const latest = by + input.lifeMs + skewMs;
  return [`e${earliest} ${latest}\n${after}`];
}

/** `output`: a list as a state. */
function effectOf(state: string, input: Asked): { after: string; output: string | number | null } {
  const holdsList = state.startsWith('l');
  const text = state === NONE ? null : state.slice(1);
  switch (input.kind) {
    case 'get':
      return { after: state, output: holdsList ? WRONG_TYPE : text };
    case 'set':
      return { after: `s${input.value}`, output: 'OK' };
    case 'set-absent':
      return text === null ? { after: `s${input.value}`, output: 'OK' } : { after: state, output: null };
    case 'del':
      return { after: NONE, output: text === null ? 0 : 1 };
    case 'incr': {
      if (holdsList) return { after: state, output: WRONG_TYPE };
      if (!/^-?\d+$/.test(text ?? '0')) return { after: state, output: NOT_INTEGER };
      const value = Number(text ?? '0') + 1;
      return { after: `s${value}`, output: value };
    }
    case 'append': {
      if (holdsList) return { after: state, output: WRONG_TYPE };
      const value = (text ?? '') + input.value;
      return { after: `s${value}`, output: value.length };
    }
    case 'cas':
      if (holdsList) return { after: state, output: WRONG_TYPE };
      return text === input.expected ? { after: `s${input.value}`, output: 1 } : { after: state, output: 0 };
    case 'push': {
      if (text !== null && !holdsList) return { after: state, output: WRONG_TYPE };
      const count = Number.parseInt(text ?? '0', 10) + 1;
      return { after: `l${count}${elementsText(state)}\n${input.value}`, output: count };
    }
    case 'range':
      return { after: state, output: text !== null && !holdsList ? WRONG_TYPE : state };
  }
}

function listState(list: readonly string[]): string {
  return list.length === 0 ? NONE : `l${list.length}${list.map((element) => `\n${element}`).join('')}`;
}

/** Of a list, each element after a line feed. */
function elementsText(state: string): string {
  return state === NONE ? '' : state.slice(state.indexOf('\n'));
}

function changedNothing({ input, outcome }: KeyCall): boolean {
  if (input.kind === 'get' || input.kind === 'range') return true;
  if (outcome.kind !== 'answered') return false;
  const { output } = outcome;
  if (typeof output === 'string' && output !== 'OK') return true;
  if (input.kind === 'set-absent') return output === null;
  return (input.kind === 'del' || input.kind === 'cas') && output === 0;
}

function onlyGrows(calls: readonly KeyCall[]): boolean {
  return calls.every(({ input }) => input.kind === 'push' || input.kind === 'range');
}

/** Whether values stay as they were written. */
function isOfValues(calls: readonly KeyCall[]): boolean {
  return calls.every(({ input }) => input.kind !== 'incr' && input.kind !== 'append' && input.kind !== 'push');
}

/** Those that answers, or what was compared, tell from others. */
function valuesSeen(calls: readonly KeyCall[]): Set<Answered> {
  const seen = new Set<Answered>();
  for (const { input, outcome } of calls) {
    if (input.kind === 'cas') seen.add(input.expected);
    if (outcome.kind === 'answered') seen.add(outcome.output);
  }
  return seen;
}

/** The longest one that was seen. */
function longestList(calls: readonly KeyCall[]): readonly string[] {
  let longest: readonly string[] = [];
  for (const { outcome } of calls) {
    if (outcome.kind === 'answered' && isList(outcome.output) && outcome.output.length > longest.length) {
      longest = outcome.output;
    }
  }
  return longest;
}

const NAMES: Record<Asked['kind'], string> = {
  get: 'GET',
  set: 'SET',
  'set-absent': 'SET NX',
  del: 'DEL',
  incr: 'INCR',
  append: 'APPEND',
  cas: 'CAS',
  push: 'RPUSH',
  range: 'LRANGE',
};

function describe({ input, outcome }: KeyCall): string {
  const words = [NAMES[input.kind]];
  if ('expected' in input) words.push(input.expected);
  if ('value' in input) words.push(input.value);
  if ('lifeMs' in input) words.push(`PX ${input.lifeMs}`);
  return `${words.join(' ')} -> ${outcome.kind === 'answered' ? describeOutput(outcome.output) : `(${outcome.kind})`}`;
}

function describeOutput(output: Answered): string {
  if (output === null) return '(nil)';
  return isList(output) ? describeList(output) : `${output}`;
}

function describeList(list: readonly string[]): string {
  if (list.length <= LIST_SHOWN_MAX) return `[${list.join(', ')}]`;
  return `[(${list.length - LIST_SHOWN_MAX} more), ${list.slice(-LIST_SHOWN_MAX).join(', ')}]`;
}

function describeState(state: string): string {
  if (state.startsWith('e')) {
    const end = state.indexOf('\n');
    const [earliest, latest] = state.slice(1, end).split(' ');
    return `${describeState(state.slice(end + 1))}, expires from ${earliest} to ${latest}`;
  }
  if (state === NONE) return 'no value';
  return state.startsWith('l') ? describeList(elementsText(state).slice(1).split('\n')) : state.slice(1);
}
