/** Whose late votes are still to be taken back. */
import t from 'tap';
import { type Asked, type Latecomer, LateVotes } from '../../src/lock/late-votes.js';

const [alice, bob] = [{}, {}];

function latecomer(late: LateVotes, asked: Asked): Latecomer & { isForgone: boolean } {
  const own = {
    ...asked,
    isForgone: false,
    forgo: () => {
      own.isForgone = true;
      late.remove(own);
    },
  };
  late.add(own);
  return own;
}

t.test('the same client, or the very same words, of the same lock', async (t) => {
  const TABLE: [Asked, boolean][] = [
    [{ asker: alice, keys: ['a'], text: 'other' }, true],
    [{ asker: alice, keys: ['c', 'b'], text: '' }, true],
    [{ asker: bob, keys: ['a'], text: 'words' }, true],
    [{ asker: bob, keys: ['a'], text: 'other' }, false],
    [{ asker: alice, keys: ['c'], text: 'words' }, false],
  ];
  for (const [asked, isForgone] of TABLE) {
    const late = new LateVotes();
    const one = latecomer(late, { asker: alice, keys: ['a', 'b'], text: 'words' });
    const other = latecomer(late, { asker: {}, keys: ['a'], text: 'more' });
    late.onAsked(asked);
    t.equal(one.isForgone, isForgone, JSON.stringify(asked));
    t.equal(other.isForgone, false);
    late.remove(one);
    late.remove(other);
    t.equal(late.size, 0, 'nothing is kept of who has answered');
  }
});
