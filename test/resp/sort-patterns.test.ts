import t from 'tap';
import { patternOf } from '../../src/resp/sort-patterns.js';

t.test('the element stands for the first star, and an arrow with something behind it begins a field', async (t) => {
  for (const [pattern, prefix, suffix, field] of [
    ['w_*', 'w_', '', null],
    ['*', '', '', null],
    ['*_*', '', '_*', null],
    ['o_*->f', 'o_', '', 'f'],
    ['o_*_->f->g', 'o_', '_', 'f->g'],
    ['o_*->', 'o_', '->', null],
    ['o_*->->', 'o_', '', '->'],
    ['a->*', 'a->', '', null],
    ['a->*->f*', 'a->', '', 'f*'],
    ['*->', '', '->', null],
    ['*-', '', '-', null],
    ['#*', '#', '', null],
    ['w_*\x00->f', 'w_', '\x00->f', null],
    ['w_*->\x00', 'w_', '->\x00', null],
    ['w_*->f\x00g', 'w_', '', 'f\x00g'],
    ['\xff*\xfe', '\xff', '\xfe', null],
  ] as const) {
    const found = patternOf(Buffer.from(pattern, 'latin1'));
    t.equal(found.kind, 'key', pattern);
    if (found.kind !== 'key') continue;
    const text = found.field === null ? null : Buffer.from(found.field).toString('latin1');
    t.same([found.prefix, found.suffix, text], [prefix, suffix, field], pattern);
  }
});

t.test('without a star a pattern names no key, and a number sign is the element', async (t) => {
  for (const [pattern, expected] of [
    ['#', 'element'],
    ['#\x00*', 'element'],
    ['', 'nothing'],
    ['nosort', 'nothing'],
    ['##', 'nothing'],
    ['w_\x00*', 'nothing'],
    ['o_->f', 'nothing'],
  ] as const) {
    t.equal(patternOf(Buffer.from(pattern, 'latin1')).kind, expected, JSON.stringify(pattern));
  }
});
