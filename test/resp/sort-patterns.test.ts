import t from 'tap';
import { keyOfPattern, rangeOfUnsorted } from '../../src/resp/sort-patterns.js';

function key(pattern: string, element: string): string {
  return Buffer.from(keyOfPattern(Buffer.from(pattern, 'latin1'), Buffer.from(element, 'latin1'))).toString('latin1');
}

t.test('the element stands for the first star, and an arrow with something behind it ends the key', async (t) => {
  for (const [pattern, element, expected] of [
    ['w_*', '1', 'w_1'],
    ['*', '', ''],
    ['*_*', 'a', 'a_*'],
    ['o_*->f', '*->x', 'o_*->x'],
    ['o_*_->f->g', '1', 'o_1_'],
    ['o_*->', '1', 'o_1->'],
    ['o_*->->', '1', 'o_1'],
    ['a->*', '1', 'a->1'],
    ['a->*->f', '1', 'a->1'],
    ['*->', '1', '1->'],
    ['*-', '1', '1-'],
    ['#*', '1', '#1'],
    ['w_*\x00->f', '1', 'w_1\x00->f'],
    ['w_*->\x00', '1', 'w_1->\x00'],
    ['\xff*\xfe', '\x00', '\xff\x00\xfe'],
  ] as const) {
    t.equal(key(pattern, element), expected, pattern);
  }
});

t.test('what LIMIT leaves out is known where nothing is sorted, and nothing is wrong', async (t) => {
  for (const [options, expected] of [
    ['BY nosort LIMIT 0 10 GET w_*', ['0', '10', '0']],
    ['limit 3 -1 by nosort desc', ['3', '-1', '1']],
    ['LIMIT 1 2 BY nosort LIMIT -4 5 DESC ASC STORE by', ['-4', '5', '0']],
    ['BY nosort BY w_* LIMIT 0 1', ['0', '1', '0']],
    ['BY no\x00sort* LIMIT 0 1 ALPHA', ['0', '1', '0']],
    ['GET by GET limit BY LIMIT LIMIT 0 1', ['0', '1', '0']],
    ['BY w_* LIMIT 0 10 GET nosort', []],
    ['LIMIT 0 10 GET w_*', []],
    ['BY nosort GET w_*', []],
    ['BY nosort LIMIT x 1', []],
    ['BY nosort LIMIT 0 1 LIMIT 0', []],
    ['LIMIT 0 1 BY', []],
    ['BY nosort LIMIT 0 1 BAD', []],
  ] as const) {
    const words = ['SORT', 'key', ...options.split(' ')].map((word) => Buffer.from(word, 'latin1'));
    t.same(rangeOfUnsorted(words), expected, options);
  }
});
