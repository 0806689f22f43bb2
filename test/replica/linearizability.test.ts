/** The checker of histories: by hand, against one that tries every order, and on long ones that were made from real runs. */
import t from 'tap';
import { type Answered, type Asked, type KeyCall, keyModel } from '../help/key-model.js';
import { checkCalls, type Model, type Outcome } from '../help/linearizability.js';
import { historyFaults, minimalFault } from '../help/minimal-history.js';
import { type Random, randomFromSeed } from '../help/random.js';

/** `[asked, answered]`, what, and its answer, or `unknown` or `failed`. */
type Line = [[number, number], Asked, Answered | { is: 'unknown' | 'failed' }];

const UNKNOWN = { is: 'unknown' } as const;
const FAILED = { is: 'failed' } as const;

function history(lines: readonly Line[]): KeyCall[] {
  return lines.map(([[askedAt, endedAt], input, answer], index) => {
    return { client: `c${index}`, key: 'k', input, outcome: outcomeOf(answer), askedAt, endedAt };
  });
}

function outcomeOf(answer: Line[2]): Outcome<Answered> {
  if (answer !== null && typeof answer === 'object' && 'is' in answer) return { kind: answer.is };
  return { kind: 'answered', output: answer };
}

const get = { kind: 'get' } as const;
const incr = { kind: 'incr' } as const;
const del = { kind: 'del' } as const;
const range = { kind: 'range' } as const;
const set = (value: string): Asked => ({ kind: 'set', value });
const setFor = (value: string, lifeMs: number): Asked => ({ kind: 'set', value, lifeMs });
const setAbsent = (value: string): Asked => ({ kind: 'set-absent', value });
const append = (value: string): Asked => ({ kind: 'append', value });
const push = (value: string): Asked => ({ kind: 'push', value });
const cas = (expected: string, value: string): Asked => ({ kind: 'cas', expected, value });

const GOOD: Record<string, Line[]> = {
  'nothing at all': [],
  'a read of what was written': [
    [[0, 1], set('1'), 'OK'],
    [[2, 3], get, '1'],
  ],
  'reads beside a write, on both sides of it': [
    [[0, 9], set('1'), 'OK'],
    [[1, 2], get, null],
    [[3, 4], get, '1'],
    [[5, 6], get, '1'],
  ],
  'two writes at once, in the order that they were not asked in': [
    [[0, 9], set('1'), 'OK'],
    [[1, 8], set('2'), 'OK'],
    [[10, 11], get, '1'],
  ],
  'what happens at the same time is concurrent': [
    [[0, 5], set('1'), 'OK'],
    [[5, 6], get, null],
  ],
  'an unknown write that never took effect': [
    [[0, 1], set('1'), UNKNOWN],
    [[2, 3], get, null],
  ],
  'an unknown write that took effect long after': [
    [[0, 1], set('1'), UNKNOWN],
    [[2, 3], set('2'), 'OK'],
    [[4, 5], get, '2'],
    [[6, 7], get, '1'],
  ],
  'unknown writes of which one took effect, and none of those asked later': [
    [[0, 1], incr, UNKNOWN],
    [[0, 1], incr, UNKNOWN],
    [[2, 3], get, '1'],
    [[4, 5], incr, UNKNOWN],
    [[6, 7], get, '1'],
    [[8, 9], incr, 4],
  ],
  'a write that failed': [
    [[0, 1], set('1'), FAILED],
    [[2, 3], get, null],
  ],
  'SET NX, won by one': [
    [[0, 5], setAbsent('1'), 'OK'],
    [[0, 5], setAbsent('2'), null],
    [[6, 7], del, 1],
    [[8, 9], setAbsent('2'), 'OK'],
  ],
  'compare and set': [
    [[0, 1], set('1'), 'OK'],
    [[2, 9], cas('1', '2'), 1],
    [[2, 9], cas('2', '3'), 1],
    [[2, 9], cas('1', '4'), 0],
    [[10, 11], get, '3'],
  ],
  'a list in the order of pushes that overlap': [
    [[0, 9], push('a'), 2],
    [[0, 9], push('b'), 1],
    [[1, 9], push('c'), UNKNOWN],
    [[10, 11], range, ['b', 'a', 'c']],
  ],
  texts: [
    [[0, 1], append('ab'), 2],
    [[2, 3], append('c'), 3],
    [[4, 5], get, 'abc'],
  ],
  'wrong types': [
    [[0, 1], push('a'), 1],
    [[2, 3], get, 'WRONGTYPE Operation against a key holding the wrong kind of value'],
    [[4, 5], set('x'), 'OK'],
    [[6, 7], incr, 'ERR value is not an integer or out of range'],
  ],
  'a value that expires between its writing and a read': [
    [[0, 2], setFor('1', 100), 'OK'],
    [[50, 51], get, '1'],
    [[100, 101], get, '1'],
    [[101, 102], get, null],
  ],
  'what makes a value stay': [
    [[0, 2], setFor('1', 100), 'OK'],
    [[50, 51], set('1'), 'OK'],
    [[200, 201], get, '1'],
  ],
};

const BAD: Record<string, Line[]> = {
  'a value out of nowhere': [[[0, 1], get, '1']],
  'a stale read': [
    [[0, 1], set('1'), 'OK'],
    [[2, 3], set('2'), 'OK'],
    [[4, 5], get, '1'],
  ],
  'a lost write': [
    [[0, 1], set('1'), 'OK'],
    [[2, 3], get, null],
  ],
  'a read that goes back': [
    [[0, 9], set('1'), 'OK'],
    [[1, 2], get, '1'],
    [[3, 4], get, null],
  ],
  'an unknown write that comes and goes': [
    [[0, 1], set('1'), UNKNOWN],
    [[2, 3], get, '1'],
    [[4, 5], get, null],
  ],
  'an unknown write that took effect before it was asked': [
    [[0, 1], get, '1'],
    [[2, 3], set('1'), UNKNOWN],
  ],
  'an unknown write that is carried out twice': [
    [[0, 1], set('1'), UNKNOWN],
    [[2, 3], get, '1'],
    [[4, 5], set('2'), 'OK'],
    [[6, 7], get, '1'],
  ],
  'a write that failed, and took effect': [
    [[0, 1], set('1'), FAILED],
    [[2, 3], get, '1'],
  ],
  'an increment carried out twice': [
    [[0, 1], incr, 1],
    [[2, 3], get, '2'],
  ],
  'two increments that see the same': [
    [[0, 5], incr, 1],
    [[0, 5], incr, 1],
  ],
  'more than all unknown increments': [
    [[0, 1], incr, UNKNOWN],
    [[0, 1], incr, UNKNOWN],
    [[2, 3], get, '3'],
  ],
  'SET NX, won by two': [
    [[0, 5], setAbsent('1'), 'OK'],
    [[0, 5], setAbsent('2'), 'OK'],
  ],
  'compare and set, won by two': [
    [[0, 1], set('1'), 'OK'],
    [[2, 9], cas('1', '2'), 1],
    [[2, 9], cas('1', '3'), 1],
  ],
  'a push that is lost': [
    [[0, 1], push('a'), 1],
    [[2, 3], push('b'), 2],
    [[4, 5], range, ['b']],
  ],
  'a push that is there twice': [
    [[0, 1], push('a'), UNKNOWN],
    [[4, 5], range, ['a', 'a']],
  ],
  'two reads that disagree on the order': [
    [[0, 9], push('a'), UNKNOWN],
    [[0, 9], push('b'), UNKNOWN],
    [[1, 5], range, ['a', 'b']],
    [[1, 5], range, ['b', 'a']],
  ],
  'an expired value that is back': [
    [[0, 2], setFor('1', 100), 'OK'],
    [[101, 103], get, null],
    [[101.5, 103], get, '1'],
    [[104, 105], get, '1'],
  ],
  'a value that expires too early': [
    [[0, 2], setFor('1', 100), 'OK'],
    [[50, 51], get, null],
  ],
  'a value that does not expire': [
    [[0, 2], setFor('1', 100), 'OK'],
    [[103, 104], get, '1'],
  ],
  'a value that expires early for those who could only look early': [
    [[0, 0], setFor('0', 6), 'OK'],
    [[1, 3], cas('0', '1'), 0],
    [[2, 7], cas('8', '1'), 0],
  ],
  'a value that comes back when it expires': [
    [[0, 2], set('0'), 'OK'],
    [[3, 4], setFor('1', 100), 'OK'],
    [[110, 120], get, '0'],
  ],
};

for (const [name, lines] of Object.entries(GOOD)) {
  t.test(`a good history: ${name}`, async (t) => {
    const calls = history(lines);
    t.same(historyFaults(calls, keyModel), []);
    t.ok(isLinearizableBruteForce(calls, keyModel(calls)));
  });
}

for (const [name, lines] of Object.entries(BAD)) {
  t.test(`a bad history: ${name}`, async (t) => {
    const calls = history(lines);
    t.equal(historyFaults(calls, keyModel).length, 1);
    t.notOk(isLinearizableBruteForce(calls, keyModel(calls)));
  });
}

t.test('clocks that decide on expiry may differ as far as is said', async (t) => {
  const calls = history([
    [[0, 2], setFor('1', 100), 'OK'],
    [[95, 96], get, null],
  ]);
  t.equal(checkCalls(calls, keyModel(calls, { skewMs: 3 })).kind, 'not-linearizable');
  t.equal(checkCalls(calls, keyModel(calls, { skewMs: 5 })).kind, 'linearizable');
});

t.test('keys are judged one by one', async (t) => {
  const calls = history([
    [[0, 1], set('1'), 'OK'],
    [[2, 3], get, null],
    [[2, 3], get, null],
  ]);
  const keyed = calls.map((call, index) => ({ ...call, key: ['a', 'b', 'a'][index] as string }));
  const faults = historyFaults(keyed, keyModel);
  t.equal(faults.length, 1);
  t.match(faults[0], /^a: not linearizable/);
});

t.test('small histories of any kind are judged as by trying all orders', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const counts = { good: 0, bad: 0 };
  for (let round = 0; round < 6_000; round++) {
    const calls = random.chance(50) ? madeUp(random) : mutated(random, recorded(random, 2 + random.below(5), 3));
    const expected = isLinearizableBruteForce(calls, keyModel(calls));
    counts[expected ? 'good' : 'bad']++;
    const verdict = checkCalls(calls, keyModel(calls));
    if (verdict.kind === (expected ? 'linearizable' : 'not-linearizable')) continue;
    t.fail(`${verdict.kind}, and it is ${expected ? '' : 'not '}linearizable`, { calls });
    return;
  }
  t.ok(counts.good > 500 && counts.bad > 500, `${counts.good} good ones, ${counts.bad} bad ones`);
});

t.test('what is left of a bad history is bad, and a part of it', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  let shown = 0;
  for (let round = 0; round < 600; round++) {
    const calls = mutated(random, recorded(random, 4 + random.below(5), 3));
    const model = keyModel(calls);
    if (isLinearizableBruteForce(calls, model)) continue;
    shown++;
    const { calls: left, forgotten, text } = minimalFault(calls, keyModel);
    const weakened = left.map((call): KeyCall => {
      return forgotten.has(call) ? { ...call, outcome: { kind: 'unknown' } } : call;
    });
    if (left.every((call) => calls.includes(call)) && !isLinearizableBruteForce(weakened, keyModel(weakened))) continue;
    t.fail('not what it should show', { calls, text });
    return;
  }
  t.ok(shown > 50, `${shown} bad ones`);
});

t.test(
  'long histories of real runs pass, and one wrong answer in them is found and shown in a few lines',
  async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    const kinds: readonly (readonly Asked['kind'][])[] = [
      ['get', 'set'],
      ['get', 'incr'],
      ['push', 'range'],
      ['get', 'set', 'cas', 'set-absent', 'del'],
    ];
    for (const those of kinds) {
      const calls = recorded(random, 1_000, 8, those);
      const started = performance.now();
      t.same(historyFaults(calls, keyModel), [], those.join());
      const unknown = calls.filter(({ outcome }) => outcome.kind === 'unknown').length;
      t.comment(`${those.join()}: ${unknown} unknown, ${(performance.now() - started).toFixed()} ms`);

      const broken = withOneWrongAnswer(random, calls);
      const begun = performance.now();
      const [fault = ''] = historyFaults(broken, keyModel);
      t.match(fault, /not linearizable/);
      t.ok(fault.split('\n').length < 20, fault);
      t.comment(`shown in ${(performance.now() - begun).toFixed()} ms`);
    }
  },
);

t.test('a fault is shown by the calls that matter', async (t) => {
  const lines: Line[] = [];
  for (let at = 0; at < 50; at++) {
    lines.push([[at * 10, at * 10 + 1], set(`${at}`), 'OK'], [[at * 10 + 2, at * 10 + 3], get, `${at}`]);
  }
  lines.push([[1_000, 1_001], get, '48'], [[1_002, 1_003], set('x'), 'OK']);
  t.equal(
    historyFaults(history(lines), keyModel)[0],
    [
      'k: not linearizable, as these 3 of 102 calls show (client, asked, answered, what):',
      '   c96   480   481   SET 48 -> OK',
      '   c98   490   491   SET 49 -> OK',
      '>  c100  1000  1001  GET -> 48',
      'before the answer marked > it could only be: (one that no answer shows)',
    ].join('\n'),
  );
});

t.test('increments that are all alike are one line', async (t) => {
  const lines: Line[] = Array.from({ length: 300 }, (_, index): Line => [[index * 2, index * 2 + 1], incr, index + 1]);
  lines.push([[1_000, 1_001], incr, 300]);
  const [fault = ''] = historyFaults(history(lines), keyModel);
  t.match(fault, /or never: INCR -> \(unknown\) × 299$/m);
  t.ok(fault.split('\n').length <= 6, fault);
});

t.test('what would take too long is said to', async (t) => {
  const many = Array.from({ length: 20 }, (_, index): Line => [[0, 9], set(`${index}`), 'OK']);
  const calls = history([...many, [[10, 11], append(''), 1]]);
  t.match(checkCalls(calls, keyModel(calls), { configurationsMax: 100, stepsMax: 1e9 }), {
    kind: 'undecided',
    why: 'more than 100 configurations',
  });
  t.match(checkCalls(calls, keyModel(calls), { configurationsMax: 1e9, stepsMax: 1_000 }), { kind: 'undecided' });
  t.match(historyFaults(calls, keyModel, { configurationsMax: 100, stepsMax: 1e9 }), [/cannot be decided/]);
  const crowd = history(Array.from({ length: 31 }, (): Line => [[0, 9], incr, 1]));
  t.match(checkCalls(crowd, keyModel(crowd)), { kind: 'undecided', why: /30 calls/ });
});

/** Tries all orders of all subsets that the unknown calls allow. */
function isLinearizableBruteForce(calls: readonly KeyCall[], model: Model<Asked, Answered>): boolean {
  const all = calls.filter(({ outcome }) => outcome.kind !== 'failed');
  const endOf = (call: KeyCall) => (call.outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : call.endedAt);
  const explains = (state: string, left: readonly KeyCall[]): boolean => {
    if (left.every(({ outcome }) => outcome.kind === 'unknown')) return true;
    const by = Math.min(...left.map(endOf));
    return left.some((call) => {
      if (by < call.askedAt) return false;
      const others = left.filter((other) => other !== call);
      return model.step(state, call, by).some((after) => explains(after, others));
    });
  };
  return explains(model.initial, all);
}

const INPUTS: Record<Asked['kind'], (random: Random, value: string) => Asked> = {
  get: () => get,
  set: (random, value) => (random.chance(20) ? setFor(value, 1 + random.below(20)) : set(value)),
  'set-absent': (_, value) => setAbsent(value),
  del: () => del,
  incr: () => incr,
  append: (_, value) => append(value),
  cas: (random, value) => cas(`${random.below(10)}`, value),
  push: (_, value) => push(value),
  range: () => range,
};
const KINDS = Object.keys(INPUTS) as Asked['kind'][];

/** A few calls with answers of chance, from few values. */
function madeUp(random: Random): KeyCall[] {
  const kinds = random.pick<readonly Asked['kind'][]>([
    ['get', 'set'],
    ['get', 'incr'],
    ['push', 'range'],
    ['get', 'set', 'cas', 'del', 'set-absent'],
  ]);
  return Array.from({ length: 2 + random.below(5) }, (_, index): KeyCall => {
    const askedAt = random.below(12);
    const input = INPUTS[random.pick(kinds)](random, `${random.below(3)}`);
    const outcome = outcomeOf(random.chance(25) ? random.pick([UNKNOWN, FAILED]) : answerOf(random, input));
    return { client: `c${index}`, key: 'k', input, outcome, askedAt, endedAt: askedAt + random.below(6) };
  });
}

function answerOf(random: Random, { kind }: Asked): Answered {
  if (kind === 'get') return random.pick([null, '0', '1', '2']);
  if (kind === 'set') return 'OK';
  if (kind === 'set-absent') return random.pick(['OK', null]);
  if (kind === 'range') return random.pick([[], ['0'], ['1'], ['0', '1'], ['1', '0'], ['2', '0']]);
  return kind === 'incr' || kind === 'push' ? 1 + random.below(3) : random.below(2);
}

/**
 * What clients record of a key that carries out one call at a time, each between its asking and its end; of those whose
 * outcome stays unknown some later than that, and some never.
 */
function recorded(random: Random, count: number, clients: number, kinds: readonly Asked['kind'][] = KINDS): KeyCall[] {
  const planned: { call: KeyCall; effectAt: number }[] = [];
  const freeAt = Array.from({ length: clients }, () => 0);
  const unknownPerMille = count < 100 ? 250 : 20;
  for (let index = 0; index < count; index++) {
    const client = random.below(clients);
    const askedAt = (freeAt[client] as number) + random.below(4);
    const endedAt = askedAt + random.below(6);
    freeAt[client] = endedAt + 1;
    const input = INPUTS[random.pick(kinds)](random, `${index}`);
    const isUnknown = random.below(1_000) < unknownPerMille;
    const call: KeyCall = { client: `c${client}`, key: 'k', input, outcome: { kind: 'unknown' }, askedAt, endedAt };
    const effectAt = askedAt + (endedAt - askedAt) * (random.below(100) / 100);
    if (!isUnknown) call.outcome = { kind: 'answered', output: null };
    const lateness = random.pick([0, 3, 30, Number.POSITIVE_INFINITY]);
    planned.push({ call, effectAt: isUnknown ? effectAt + lateness : effectAt });
  }
  planned.sort((one, other) => one.effectAt - other.effectAt);
  const key = new RealKey();
  for (const { call, effectAt } of planned) {
    if (effectAt === Number.POSITIVE_INFINITY) continue;
    const output = key.carryOut(call.input, effectAt);
    if (call.outcome.kind === 'answered') call.outcome.output = output;
  }
  return planned.map(({ call }) => call);
}

/** A key as Redis has it, with one clock: what the model is to agree with. */
class RealKey {
  private value: string | string[] | null = null;
  private expireAt = Number.POSITIVE_INFINITY;

  carryOut(input: Asked, now: number): Answered {
    if (now >= this.expireAt) this.put(null);
    const { value } = this;
    if (input.kind === 'set') return this.put(input.value, input.lifeMs, now) ?? 'OK';
    if (input.kind === 'set-absent') return value === null ? (this.put(input.value) ?? 'OK') : null;
    if (input.kind === 'del') return this.put(null) ?? (value === null ? 0 : 1);
    if (Array.isArray(value) !== (input.kind === 'push' || input.kind === 'range') && value !== null) {
      return 'WRONGTYPE Operation against a key holding the wrong kind of value';
    }
    if (input.kind === 'push') {
      this.value = [...(value ?? []), input.value];
      return this.value.length;
    }
    if (input.kind === 'range') return value ?? [];
    if (input.kind === 'get') return value;
    if (input.kind === 'cas') return value === input.expected ? (this.keep(input.value) ?? 1) : 0;
    if (input.kind === 'append') return this.keep(`${value ?? ''}${input.value}`) ?? `${this.value}`.length;
    if (Number.isNaN(Number(value))) return 'ERR value is not an integer or out of range';
    return this.keep(`${Number(value) + 1}`) ?? Number(this.value);
  }

  private put(value: string | null, lifeMs = Number.POSITIVE_INFINITY, now = 0): void {
    this.value = value;
    this.expireAt = now + lifeMs;
  }

  private keep(value: string): void {
    this.value = value;
  }
}

/** Some answers, ends and inputs changed: it may be good, or bad. */
function mutated(random: Random, calls: readonly KeyCall[]): KeyCall[] {
  const changed = calls.map((call) => ({ ...call }));
  const one = random.pick(changed);
  const other = random.pick(changed);
  if (random.chance(30)) [one.outcome, other.outcome] = [other.outcome, one.outcome];
  else if (random.chance(40)) one.outcome = { kind: 'answered', output: answerOf(random, one.input) };
  else if (random.chance(50)) one.endedAt = one.askedAt;
  else one.outcome = { kind: 'failed' };
  return changed;
}

/** In the second half: an answer that was right a while before, or will never be. */
function withOneWrongAnswer(random: Random, calls: readonly KeyCall[]): KeyCall[] {
  const answered = calls.filter(({ outcome }) => outcome.kind === 'answered');
  const reads = answered.filter(({ input }) => input.kind === 'get' || input.kind === 'range');
  const place = Math.floor(reads.length / 2) + random.below(Math.floor(reads.length / 2));
  const victim = reads[place] as KeyCall;
  const old = reads.slice(0, Math.floor(reads.length / 4)).filter(({ outcome }) => {
    return (
      JSON.stringify(outcome) !== JSON.stringify(victim.outcome) &&
      JSON.stringify(outcome) !== '{"kind":"answered","output":null}'
    );
  });
  const source = random.pick(old);
  return calls.map((call) => (call === victim ? { ...call, outcome: source.outcome } : call));
}
