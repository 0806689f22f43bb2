/** What becomes of the replies of several shards, by Redis's response policies. */
import t from 'tap';
import { PendingPool, type ReplyOwner } from '../../src/backend/pending.js';
import { MergePool } from '../../src/proxy/merge.js';
import { responsePolicy } from '../../src/proxy/response-policy.js';
import type { Session } from '../../src/proxy/session.js';
import { Arena, UNIT_BYTES } from '../../src/transport/arena.js';
import { Output } from '../../src/transport/output.js';

const arena = new Arena(new ArrayBuffer(16 * UNIT_BYTES));
const pendings = new PendingPool();
const merges = new MergePool(arena, pendings);

interface Case {
  tip: string | null;
  /** For MGET and its like: the part of each key. */
  keys?: readonly number[];
  isWrite?: boolean;
  /** The nodes' replies; those that begin with an exclamation mark are failures of ours. */
  replies: readonly string[];
}

/** What the client gets. The nodes are a, b, c … */
function merged({ tip, keys, isWrite = false, replies }: Case): string {
  const output = new Output(arena, false);
  const session = { isClosed: false, complete: () => {} } as unknown as Session & ReplyOwner;
  const merge = merges.take(responsePolicy(tip, keys !== undefined), false);
  const head = pendings.take(session, 0, false);
  merge.addSession(session, head);
  const parts = replies.map((_, index) => merge.addPart('abc'[index] as string, 0, isWrite));
  for (const part of keys ?? []) merge.addKey(part);
  // In reverse: what comes first must not matter.
  for (const [index, pending] of [...parts.entries()].reverse()) {
    const reply = Buffer.from(replies[index] as string, 'latin1');
    if (reply[0] === '!'.charCodeAt(0)) {
      merge.onFailure(pending, Buffer.concat([Buffer.from('-'), reply.subarray(1)]));
      continue;
    }
    const start = arena.allocate(reply.length);
    arena.bytes.set(reply, start);
    merge.onReply(pending, start, start + reply.length);
    arena.release(start, reply.length);
  }
  merge.writeReply(output);
  pendings.release(head);
  let text = '';
  while (output.unsentBytes > 0) {
    const start = output.unsentStart();
    text += Buffer.from(arena.bytes.slice(start, start + output.unsentLength())).toString('latin1');
    output.advance(output.unsentLength());
  }
  return text;
}

const DOWN = '!NODEDOWN node b: it is down; the command had no effect\r\n';
const LOST = '!UNKNOWN node b: lost; the write may or may not have been done\r\n';

const CASES: readonly [string, Case, string][] = [
  ['all_succeeded is what all said', { tip: 'all_succeeded', replies: ['+OK\r\n', '+OK\r\n'] }, '+OK\r\n'],
  [
    'all_succeeded of bulk strings, as SCRIPT LOAD has',
    { tip: 'all_succeeded', replies: ['$3\r\nabc\r\n', '$3\r\nabc\r\n', '$3\r\nabc\r\n'] },
    '$3\r\nabc\r\n',
  ],
  [
    'all_succeeded with an answer that differs from the first',
    { tip: 'all_succeeded', replies: ['$3\r\nabc\r\n', '$3\r\nabc\r\n', '$3\r\nabd\r\n'] },
    '-ERR node c answered the unexpected: a bulk string, 9 bytes in all\r\n',
  ],
  [
    'an error of one node names it',
    { tip: 'all_succeeded', replies: ['+OK\r\n', '-OOM no room\r\n', '+OK\r\n'] },
    '-OOM no room (from node b; 2 other shards were asked too)\r\n',
  ],
  [
    'and has its bytes, whatever they are: of a word in UTF-8, and of none',
    { tip: 'all_succeeded', replies: ['+OK\r\n', '-ERR caf\xc3\xa9 \xff\r\n', '+OK\r\n'] },
    '-ERR caf\xc3\xa9 \xff (from node b; 2 other shards were asked too)\r\n',
  ],
  [
    'an error that all nodes give is given as one Redis would',
    { tip: 'all_succeeded', replies: ['-ERR syntax error\r\n', '-ERR syntax error\r\n'] },
    '-ERR syntax error\r\n',
  ],
  [
    'a write that failed on one node and was done on another is unknown',
    { tip: 'all_succeeded', isWrite: true, replies: ['+OK\r\n', DOWN] },
    '-UNKNOWN node b: it is down; the command had no effect there, but other shards have carried out their part of it\r\n',
  ],
  [
    'an error of one node of a write tells how many have done it',
    { tip: 'all_succeeded', isWrite: true, replies: ['+OK\r\n', '-NOPERM no\r\n', '+OK\r\n'] },
    '-NOPERM no (from node b; 2 of 3 shards have carried out their part of it)\r\n',
  ],
  [
    'and which others have not',
    { tip: 'all_succeeded', isWrite: true, replies: ['-OOM no room\r\n', '+OK\r\n', '-OOM no\r\n'] },
    '-OOM no room (from node a; 1 of 3 shards have carried out their part of it) (failed too: c)\r\n',
  ],
  [
    'the first error counts',
    { tip: 'all_succeeded', isWrite: true, replies: ['-OOM no room\r\n', DOWN] },
    '-OOM no room (from node a; 1 other shards were asked too) (failed too: b)\r\n',
  ],
  [
    'of several failures of a write, the unknown one is told',
    { tip: 'agg_sum', isWrite: true, replies: ['!NODEDOWN node a: x; y\r\n', LOST, ':1\r\n'] },
    LOST.replace('!', '-').replace('\r\n', ' (failed too: a)\r\n'),
  ],
  [
    'one_succeeded is the first that is no error',
    { tip: 'one_succeeded', replies: ['-A a\r\n', '+OK\r\n'] },
    '+OK\r\n',
  ],
  ['one_succeeded does not mind nodes that are down', { tip: 'one_succeeded', replies: [DOWN, '+OK\r\n'] }, '+OK\r\n'],
  [
    'one_succeeded, and none did: what all say',
    { tip: 'one_succeeded', replies: ['-NOTBUSY none\r\n', '-NOTBUSY none\r\n'] },
    '-NOTBUSY none\r\n',
  ],
  [
    'one_succeeded, and none did: what says more than that nothing runs',
    { tip: 'one_succeeded', replies: ['-NOTBUSY none\r\n', '-UNKILLABLE it wrote\r\n', '-NOTBUSY none\r\n'] },
    '-UNKILLABLE it wrote (from node b; 2 other shards were asked too)\r\n',
  ],
  [
    'one_succeeded, and none did: a node that is down may be the one',
    { tip: 'one_succeeded', replies: ['-NOTBUSY none\r\n', DOWN] },
    DOWN.replace('!', '-'),
  ],
  ['agg_sum', { tip: 'agg_sum', replies: [':1\r\n', ':20\r\n', ':-300\r\n'] }, ':-279\r\n'],
  ['agg_min', { tip: 'agg_min', replies: [':5\r\n', ':2\r\n', ':3\r\n'] }, ':2\r\n'],
  ['agg_max', { tip: 'agg_max', replies: [':5\r\n', ':20\r\n', ':3\r\n'] }, ':20\r\n'],
  ['agg_logical_and', { tip: 'agg_logical_and', replies: [':1\r\n', ':0\r\n', ':1\r\n'] }, ':0\r\n'],
  ['agg_logical_and of ones', { tip: 'agg_logical_and', replies: [':1\r\n', ':2\r\n'] }, ':1\r\n'],
  ['agg_logical_or', { tip: 'agg_logical_or', replies: [':0\r\n', ':0\r\n', ':7\r\n'] }, ':1\r\n'],
  ['agg_logical_or of zeros', { tip: 'agg_logical_or', replies: [':0\r\n', ':0\r\n'] }, ':0\r\n'],
  [
    'agg_logical_and of arrays, place by place, as SCRIPT EXISTS has',
    { tip: 'agg_logical_and', replies: ['*3\r\n:1\r\n:0\r\n:1\r\n', '*3\r\n:1\r\n:1\r\n:0\r\n'] },
    '*3\r\n:1\r\n:0\r\n:0\r\n',
  ],
  ['empty arrays', { tip: 'agg_logical_and', replies: ['*0\r\n', '*0\r\n'] }, '*0\r\n'],
  [
    'arrays of different lengths',
    { tip: 'agg_logical_and', replies: ['*1\r\n:1\r\n', '*2\r\n:1\r\n:1\r\n'] },
    '-ERR node b answered the unexpected: an array, 12 bytes in all\r\n',
  ],
  [
    'arrays of other things than numbers',
    { tip: 'agg_logical_and', replies: ['*1\r\n:1\r\n', '*1\r\n+1\r\n'] },
    '-ERR node b answered the unexpected: an array, 8 bytes in all\r\n',
  ],
  [
    'a number, and an array',
    { tip: 'agg_sum', replies: [':1\r\n', '*0\r\n'] },
    '-ERR node b answered the unexpected: an array, 4 bytes in all\r\n',
  ],
  [
    'a reply of another kind',
    { tip: 'agg_sum', replies: [':1\r\n', '+OK\r\n'] },
    '-ERR node b answered the unexpected: a simple string, 5 bytes in all\r\n',
  ],
  [
    'the default without keys puts one array behind the other',
    { tip: null, replies: ['*2\r\n$1\r\na\r\n$1\r\nb\r\n', '*0\r\n', '*1\r\n*1\r\n:5\r\n'] },
    '*3\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n:5\r\n',
  ],
  [
    'a null array cannot be put behind another',
    { tip: null, replies: ['*0\r\n', '*-1\r\n'] },
    '-ERR node b answered the unexpected: an array, 5 bytes in all\r\n',
  ],
  [
    'the default with keys puts each value in the place of its key',
    { tip: null, keys: [1, 0, 1, 2], replies: ['*1\r\n$1\r\na\r\n', '*2\r\n$-1\r\n$2\r\nbb\r\n', '*1\r\n$0\r\n\r\n'] },
    '*4\r\n$-1\r\n$1\r\na\r\n$2\r\nbb\r\n$0\r\n\r\n',
  ],
  [
    'more values than keys',
    { tip: null, keys: [0, 1], replies: ['*1\r\n$1\r\na\r\n', '*2\r\n+x\r\n+y\r\n'] },
    '-ERR node b answered the unexpected: an array, 12 bytes in all\r\n',
  ],
];

for (const [name, one, reply] of CASES) {
  t.test(name, async (t) => {
    t.equal(merged(one), reply);
    t.equal(arena.usedBytes, 0, 'all memory was given back');
  });
}

t.test('a policy that no general rule covers is a mistake of the table', async (t) => {
  t.throws(() => responsePolicy('special', false), /policy special/);
});
