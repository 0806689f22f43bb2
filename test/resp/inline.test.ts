import t from 'tap';
import { splitWords } from '../../src/resp/inline.js';
import { INLINE_LINES } from '../help/inline-lines.js';

for (const [what, line, words] of INLINE_LINES) {
  t.test(`an inline command is split as Redis splits it: ${what}`, async (t) => {
    // What stands around the line must not matter.
    const bytes = Buffer.from(`x"${line}"41 `, 'latin1');
    const split = splitWords(bytes, 2, 2 + line.length);
    t.same(split?.map((word) => Buffer.from(word).toString('latin1')) ?? null, words);
  });
}
