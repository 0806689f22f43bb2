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
 * A state: '' for no value, 's' and the text, 'l' and the elements with a line feed after each. Before one that expires:
 * 'e', the earliest and the latest time of that, and a line feed.
 */
const NONE = '';
/** In the place of all values that no answer tells from each other: many orders of calls are one then. */
const UNSEEN = '(one that no answer shows)\n';
const NOT_INTEGER = 'ERR value is not an integer or out of range';
const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

interface Life {
  earliest: number;
  latest: number;
}

/** A model of one key, for these calls and no others. */
export function keyModel(calls: readonly KeyCall[], { skewMs = 0 }: KeyModelOptions = {}): Model<Asked, Answered> {
  const seen = isOfValues(calls) ? valuesSeen(calls) : null;
  const told = (input: Asked): Asked => {
    if (seen === null || !('value' in input) || seen.has(input.value)) return input;
    return { ...input, value: UNSEEN };
  };
  const inputs = new Map(calls.map(({ input }) => [input, told(input)]));
  const model: Model<Asked, Answered> = {
    initial: NONE,
    step: (state, call) => step(state, call, inputs.get(call.input) ?? told(call.input), skewMs),
    effect: ({ input, askedAt }) => JSON.stringify([told(input), 'lifeMs' in input ? askedAt : 0]),
    changedNothing,
    describe,
    describeState,
  };
  const longest = onlyGrows(calls) ? longestList(calls) : null;
  // A list that only grows went through beginnings of what it became, and through nothing else.
  if (longest !== null) model.isPossible = (state) => longest.startsWith(state) || state.startsWith(longest);
  return model;
}

function step(state: string, call: KeyCall, input: Asked, skewMs: number): readonly string[] {
  if (!state.startsWith('e')) return apply(state, null, call, input, skewMs);
  const end = state.indexOf('\n');
  const [earliest, latest] = state.slice(1, end).split(' ').map(Number) as [number, number];
  const after: string[] = [];
  if (call.askedAt <= latest) after.push(...apply(state.slice(end + 1), { earliest, latest }, call, input, skewMs));
  if (lastMoment(call) >= earliest) after.push(...apply(NONE, null, call, input, skewMs));
  return after;
}

/** `state` without its `life`. */
function apply(state: string, life: Life | null, call: KeyCall, input: Asked, skewMs: number): string[] {
  const { outcome } = call;
  const { after, output } = effectOf(state, input);
  if (outcome.kind === 'answered' && !equal(output, outcome.output)) return [];
  if (after === NONE) return [NONE];
  const isSet = input.kind === 'set' || (input.kind === 'set-absent' && state === NONE);
  if (!isSet) return [life === null ? after : `e${life.earliest} ${life.latest}\n${after}`];
  if (input.lifeMs === undefined) return [after];
  const earliest = call.askedAt + input.lifeMs - skewMs;
  const latest = lastMoment(call) + input.lifeMs + skewMs;
  return [`e${earliest} ${latest}\n${after}`];
}

/** When it may have taken effect at the latest. */
function lastMoment({ outcome, endedAt }: KeyCall): number {
  return outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : endedAt;
}

function effectOf(state: string, input: Asked): { after: string; output: Answered } {
  const isList = state.startsWith('l');
  const text = state === NONE ? null : state.slice(1);
  switch (input.kind) {
    case 'get':
      return { after: state, output: isList ? WRONG_TYPE : text };
    case 'set':
      return { after: `s${input.value}`, output: 'OK' };
    case 'set-absent':
      return text === null ? { after: `s${input.value}`, output: 'OK' } : { after: state, output: null };
    case 'del':
      return { after: NONE, output: text === null ? 0 : 1 };
    case 'incr': {
      if (isList) return { after: state, output: WRONG_TYPE };
      if (!/^-?\d+$/.test(text ?? '0')) return { after: state, output: NOT_INTEGER };
      const value = Number(text ?? '0') + 1;
      return { after: `s${value}`, output: value };
    }
    case 'append': {
      if (isList) return { after: state, output: WRONG_TYPE };
      const value = (text ?? '') + input.value;
      return { after: `s${value}`, output: value.length };
    }
    case 'cas':
      if (isList) return { after: state, output: WRONG_TYPE };
      return text === input.expected ? { after: `s${input.value}`, output: 1 } : { after: state, output: 0 };
    case 'push': {
      if (text !== null && !isList) return { after: state, output: WRONG_TYPE };
      const after = `l${text ?? ''}${input.value}\n`;
      return { after, output: elements(after).length };
    }
    case 'range':
      return { after: state, output: text !== null && !isList ? WRONG_TYPE : elements(state) };
  }
}

function elements(state: string): string[] {
  return state.slice(1).split('\n').slice(0, -1);
}

function equal(one: Answered, other: Answered): boolean {
  if (!Array.isArray(one) || !Array.isArray(other)) return one === other;
  return one.length === other.length && one.every((element, index) => element === other[index]);
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

/** The longest list that was seen, as a state. */
function longestList(calls: readonly KeyCall[]): string {
  let longest: readonly string[] = [];
  for (const { outcome } of calls) {
    if (outcome.kind !== 'answered' || !Array.isArray(outcome.output)) continue;
    if (outcome.output.length > longest.length) longest = outcome.output;
  }
  return longest.length === 0 ? NONE : `l${longest.map((element) => `${element}\n`).join('')}`;
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
  return Array.isArray(output) ? `[${output.join(', ')}]` : `${output}`;
}

function describeState(state: string): string {
  if (state.startsWith('e')) {
    const end = state.indexOf('\n');
    const [earliest, latest] = state.slice(1, end).split(' ');
    return `${describeState(state.slice(end + 1))}, expires from ${earliest} to ${latest}`;
  }
  if (state === NONE) return 'no value';
  if (state.startsWith('l')) return `[${elements(state).join(', ')}]`;
  return state.slice(1).trimEnd();
}
