import t from 'tap';
import { COLOCATE_RULES_MAX, Colocation, parsePattern } from '../../src/routing/colocate.js';
import { ColocatedPlacement, openPlacement, planPlacement } from '../../src/routing/route.js';
import { slotOf } from '../../src/routing/slot.js';
import { PatternTwin } from '../help/pattern-twin.js';
import { type Random, randomFromSeed } from '../help/random.js';

/** By which part the rules place the key, null for the whole of it. The key lies among other bytes. */
function captured(rules: readonly string[], key: string): string | null {
  const bytes = Buffer.from(key);
  const memory = Buffer.concat([Buffer.from('{:x'), bytes, Buffer.from(':}*')]);
  const colocation = new Colocation(rules);
  if (!colocation.capture(memory, 3, 3 + bytes.length)) return null;
  return memory.subarray(colocation.start, colocation.end).toString();
}

/** Pattern, key, what is captured. */
const TABLE: [string, string, string | null][] = [
  ['bull:{queue}:*', 'bull:mail:7', 'mail'],
  ['bull:{queue}:*', 'bull:mail:', 'mail'],
  ['bull:{queue}:*', 'bull:mail:repeat:x:1', 'mail'],
  ['bull:{queue}:*', 'bull:mail', null],
  ['bull:{queue}:*', 'bull::7', null],
  ['bull:{queue}:*', 'bull:::', null],
  ['bull:{queue}:*', 'bullx:mail:7', null],
  ['bull:{queue}:*', 'xbull:mail:7', null],
  ['bull:{queue}:*', 'bull:', null],
  ['bull:{queue}:*', 'b', null],
  ['bull:{queue}:*', '', null],
  ['bull:{queue}:*', 'bull:été 😀:7', 'été 😀'],
  // The key's own tag wins, if it is one.
  ['bull:{queue}:*', 'bull:{mail}:7', null],
  ['bull:{queue}:*', 'bull:mail:{7}', null],
  ['bull:{queue}:*', 'bull:{}:7', '{}'],
  ['bull:{queue}:*', 'bull:}{:7', '}{'],
  ['bull:{queue}:*', 'bull:{mail:7', '{mail'],
  // Literal text at the beginning.
  ['{bull}:*', 'bull:mail:7', 'bull'],
  ['{bull}:*', 'bull:', 'bull'],
  ['{bull}:*', 'bull', null],
  ['{bull}:*', 'bully:mail', null],
  ['{bull:x}*', 'bull:x', 'bull:x'],
  ['{bull:x}*', 'bull:xyz', 'bull:x'],
  ['{all}', 'all', 'all'],
  ['{all}', 'all:', null],
  ['{😀}:*', '😀:1', '😀'],
  // Any text at the beginning.
  ['{*}:*', 'acme:users', 'acme'],
  ['{*}:*', ':users', null],
  ['{*}:*', 'acme', null],
  ['{*}', 'whole', 'whole'],
  ['{*}:x', 'a:b:x', 'a:b'],
  // At the end, and with more literals.
  ['order:{id}', 'order:17:items', '17:items'],
  ['order:{id}', 'order:', null],
  ['order:{id}:items', 'order:17:items', '17'],
  ['order:{id}:items', 'order:a:b:items', 'a:b'],
  ['order:{id}:items', 'order:17:items:2', null],
  ['order:{id}:items', 'order::items', null],
  ['order:{id}:items', 'order:17:items:items', null],
  ['*:{id}', 'a:b:c', 'b:c'],
  ['*:{id}', ':c', 'c'],
  ['*:{id}:*:end', 'a:b:c:end', 'b'],
  ['*:{id}:*:end', 'a:b:end', null],
  ['*:{id}:*:end', 'a:b::end', 'b'],
  ['*:{id}:*end', 'a:b:xendend', 'b'],
  ['*:{id}:*end', 'a:b:end', 'b'],
  ['*:{id}:*', 'a::b:c', null],
  ['a*b{x}c*', 'a-bb-c-', 'b-'],
  ['app:{*}:*', 'app:x:y', 'x'],
  ['{a}*b*c', 'axxbyyc', 'a'],
  ['{a}*b*c', 'abc', 'a'],
  ['{a}*b*c', 'acb', null],
  ['{a}*bc', 'abc', 'a'],
  ['{a}*bc', 'abcb', null],
];

t.test('what a pattern captures', async (t) => {
  for (const [pattern, key, wanted] of TABLE) {
    t.equal(captured([pattern], key), wanted, `${pattern} of ${JSON.stringify(key)}`);
    t.equal(new PatternTwin(pattern).capture(Buffer.from(key)), wanted, 'and by its twin');
  }
});

t.test('the first rule that matches wins, whatever begins it', async (t) => {
  const rules = ['bull:special:{id}', '{bull}:flow:*', 'bull:{queue}:*', '*:{x}', '{*}'];
  t.equal(captured(rules, 'bull:special:9'), '9');
  t.equal(captured(rules, 'bull:flow:9'), 'bull');
  t.equal(captured(rules, 'bull:mail:9'), 'mail');
  t.equal(captured(rules, 'queue:mail:9'), 'mail:9');
  t.equal(captured(rules, 'zzz'), 'zzz');
  t.equal(captured(rules, 'zz{z}'), null);
  t.equal(captured([], 'zzz'), null);
});

t.test('random keys and rules against a slow twin that knows nothing but regular expressions', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  let captures = 0;
  for (let round = 0; round < 400; round++) {
    const rules = Array.from({ length: 1 + random.below(4) }, () => randomPattern(random));
    const good = rules.filter((rule) => !('fault' in parsePattern(rule)));
    const twins = good.map((rule) => new PatternTwin(rule));
    for (let i = 0; i < 60; i++) {
      const key = randomKey(random);
      const first = twins.map((twin) => twin.matchOf(Buffer.from(key))).find((match) => match !== null);
      const wanted = first === undefined || PatternTwin.hasTag(Buffer.from(key)) ? null : first;
      const actual = captured(good, key);
      if (actual !== wanted) t.fail(`${JSON.stringify(good)} of ${key}: ${actual}, should be ${wanted}`);
      if (actual !== null) captures++;
    }
  }
  t.ok(captures > 1000, `${captures} of 24000 keys were captured`);
});

/** Of few letters, so that much fits by chance. */
function randomPattern(random: Random): string {
  const literal = () => random.bytesOf(1 + random.below(2), Buffer.from('ab:')).toString();
  const pieces = Array.from({ length: random.below(4) }, () => random.pick(['*', literal(), literal()]));
  pieces.splice(random.below(pieces.length + 1), 0, random.pick(['{*}', '{a}', '{ab}', '{x}', '{b:}']));
  return pieces.join('');
}

function randomKey(random: Random): string {
  return random.bytesOf(random.below(12), Buffer.from(random.chance(20) ? 'ab:{}' : 'ab:')).toString();
}

/** Texts that are no patterns, and why. */
const FAULTS: [string, RegExp][] = [
  ['', /no part in braces/],
  ['bull:*', /no part in braces/],
  ['bull:queue', /no part in braces/],
  ['bull:{}:*', /nothing between the braces/],
  ['bull:{queue:*', /a brace without its other half/],
  ['bull:queue}:*', /a brace without its other half/],
  ['bull:{{queue}}:*', /a brace without its other half/],
  ['bull:{a}:{b}', /two parts in braces/],
  ['{a}{b}', /two parts in braces/],
  ['bull:{a:b}:*', /neither a name .* put braces at the beginning around text that is meant literally/],
  ['bull:{a b}:*', /neither a name/],
  ['bull:{a*}:*', /neither a name/],
  ['{bull*}:*', /a \* and other text/],
  ['bull:{queue}*', /right next to/],
  ['bull:*{queue}', /right next to/],
  ['{*}*', /right next to/],
  ['{a}**', /right next to/],
  ['{a}:**:b', /right next to/],
  [`{a}${'x'.repeat(126)}`, /129 bytes, above 128/],
  [`{a}${'é'.repeat(63)}`, /129 bytes, above 128/],
];

t.test('what is no pattern is refused in plain words', async (t) => {
  for (const [text, why] of FAULTS) {
    const pattern = parsePattern(text);
    t.match('fault' in pattern ? pattern.fault : 'good', why, JSON.stringify(text));
    t.throws(() => new Colocation([text]), RangeError);
  }
  t.throws(() => new Colocation(new Array(COLOCATE_RULES_MAX + 1).fill('{*}')), /more than 64 patterns/);
  t.equal(captured(new Array(COLOCATE_RULES_MAX).fill('x{y}').with(-1, '{*}'), 'last'), 'last');
});

t.test('keys that rules bring together have one slot and one node, that of a hash tag of the same text', async (t) => {
  const nodes = ['a', 'b', 'c'].map((name) => ({ name, weight: 1 }));
  const snapshot = planPlacement(nodes, { kind: 'slots', colocate: ['bull:{queue}:*'] });
  const placement = openPlacement(snapshot);
  t.ok(placement instanceof ColocatedPlacement);
  for (let queue = 0; queue < 50; queue++) {
    const keys = [`bull:q${queue}:1`, `bull:q${queue}:events`, `bull:{q${queue}}:2`, `{q${queue}}`].map((key) =>
      Buffer.from(key),
    );
    const slots = keys.map((key) => (placement as ColocatedPlacement).slotOf(key, 0, key.length));
    t.same(new Set(slots), new Set([slotOf(Buffer.from(`q${queue}`), 0, `q${queue}`.length)]));
    t.equal(new Set(keys.map((key) => placement.nodeOf(key, 0, key.length))).size, 1);
  }
});

t.test('a key that no rule is about lies where it would without rules', async (t) => {
  const nodes = ['a', 'b', 'c'].map((name) => ({ name, weight: 1 }));
  const plain = openPlacement(planPlacement(nodes, { kind: 'slots', colocate: [] }));
  const ruled = openPlacement(planPlacement(nodes, { kind: 'slots', colocate: ['bull:{queue}:*', '{app}:*'] }));
  const random = randomFromSeed((text) => t.comment(text));
  for (let i = 0; i < 500; i++) {
    const key = Buffer.from(`k${randomKey(random)}`);
    if (plain.nodeOf(key, 0, key.length) !== ruled.nodeOf(key, 0, key.length)) t.fail(key.toString());
  }
  t.ok(plain.nodeOf(Buffer.alloc(0), 0, 0) === ruled.nodeOf(Buffer.alloc(0), 0, 0), 'the empty key too');
});
