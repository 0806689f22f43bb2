import t from 'tap';
import type { LockFacts } from '../../src/cli/lock-client.js';
import { describeLock, describeLocks } from '../../src/cli/lock-text.js';

const HELD: LockFacts = {
  name: 'lock:a',
  state: 'held',
  mode: 'limit',
  limit: 3,
  fence: 12,
  holders: [
    { client: 'one', fence: 11, ttl: 1500 },
    { client: null, fence: null, ttl: -1 },
  ],
};
const SPLIT: LockFacts = { name: 'lock:\x1b[2J', state: 'split', mode: null, limit: null, fence: 7, holders: [] };
const FREE: LockFacts = { ...SPLIT, name: 'lock:c', state: 'free' };

t.test('locks are a table with a line for each holder', async (t) => {
  t.equal(
    describeLocks([HELD, SPLIT]),
    `lock       mode     holder  fence  for
lock:a     limit 3  one     11     1500ms
lock:a     limit 3  ?       -      ever
lock:?[2J  split    -       7      -`,
  );
  t.equal(describeLocks([]), 'no lock is held');
});

t.test('one lock is a sentence, with its holders', async (t) => {
  t.equal(
    describeLock(HELD),
    `lock:a is held (limit 3):
  one, with fence 11, for 1500ms more
  somebody who took it by another command, without a fence, without end`,
  );
  t.equal(describeLock(SPLIT), 'lock:?[2J is held by no majority of its nodes (split); its last fence is 7');
  t.equal(describeLock(FREE), 'lock:c is free; its last fence is 7');
  t.equal(describeLock({ ...FREE, fence: null }), 'lock:c is free; it was never taken');
});
