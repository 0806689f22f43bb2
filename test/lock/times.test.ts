/** Times in the replies of scripts: found, taken out, and put back. */
import t from 'tap';
import { type Left, withoutTimes, withTimes } from '../../src/lock/times.js';

const key = (beforeMs: number, afterMs = beforeMs): Left => ({ beforeMs, afterMs });

interface Case {
  name: string;
  reply: string;
  keys: Left[];
  times: number[];
}

const TABLE: Case[] = [
  { name: 'what a key has left', reply: ':4998\r\n', keys: [key(4998)], times: [4998] },
  { name: 'looked at a little later than we did', reply: ':4993\r\n', keys: [key(4998)], times: [4993] },
  { name: 'later than that', reply: ':4992\r\n', keys: [key(4998, 100)], times: [] },
  { name: 'looked at a little earlier', reply: ':9005\r\n', keys: [key(-2, 9000)], times: [9005] },
  { name: 'what it had left before it was extended', reply: '*2\r\n:1\r\n:70\r\n', keys: [key(70, 9000)], times: [70] },
  { name: 'between the two', reply: ':5000\r\n', keys: [key(70, 9000)], times: [] },
  { name: 'of several keys', reply: '*3\r\n:50\r\n:1\r\n:60\r\n', keys: [key(60), key(50)], times: [50, 60] },
  { name: 'nested', reply: '*2\r\n*1\r\n:50\r\n$2\r\n50\r\n', keys: [key(50)], times: [50] },
  { name: 'none there', reply: '*2\r\n:-2\r\n:0\r\n', keys: [key(-2)], times: [] },
  { name: 'for good', reply: ':-1\r\n', keys: [key(-1)], times: [] },
  { name: 'no integers', reply: '*3\r\n$2\r\n:5\r\n_\r\n+5\r\n', keys: [key(5)], times: [] },
  { name: 'what looks like our sign', reply: '*2\r\n$4\r\n:?\r\n\r\n:50\r\n', keys: [key(50)], times: [50] },
  { name: 'an error', reply: '-ERR 50\r\n', keys: [key(50)], times: [] },
];

for (const { name, reply, keys, times } of TABLE) {
  t.test(name, async (t) => {
    const found = withoutTimes(Buffer.from(reply), keys);
    t.same(found.times, times);
    t.equal(Buffer.from(withTimes(found.reply, found.times)).toString(), reply, 'and put back');
    const other = withTimes(
      found.reply,
      found.times.map((time) => time - 1),
    );
    t.equal(Buffer.from(other).equals(Buffer.from(reply)), times.length === 0);
  });
}
