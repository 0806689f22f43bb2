/** How nodes are asked for what drop-in clients ask of locks. What is refused, and in which words, test/e2e/lock-commands shows. */
import t from 'tap';
import { lockFormOf } from '../../src/lock/lock-keyspace-forms.js';

const bytes = (words: readonly string[]) => words.map((word) => Buffer.from(word));
const form = (keys: number, ...words: string[]) => lockFormOf(words[0]?.toLowerCase() ?? '', bytes(words), keys, 1000);
const errorOf = (found: unknown) => (found instanceof Uint8Array ? Buffer.from(found).toString() : 'none');

t.test('a SET takes its value for its time', async (t) => {
  for (const options of [
    ['NX', 'PX', '700'],
    ['px', '700', 'nx'],
    ['PX', '700', 'NX', 'NX'],
  ]) {
    const found = form(1, 'SET', 'lock:a', 'token', ...options);
    t.match(found, { kind: 'command', keys: 1, isRead: false, takes: { key: 0, ttlMs: 700 } });
    if (found instanceof Uint8Array || found.kind !== 'command') throw new Error('it is a command');
    t.equal(`${found.takes?.content}`, 'token');
    t.same(found.words.map(String), ['SET', 'lock:a', 'token', ...options], 'nodes get it as it is');
  }
  t.match(form(1, 'SET', 'k', 'v', 'NX', 'EX', '1'), { takes: { ttlMs: 1000 } });
});

t.test('no lock is taken or extended for longer than ttlMaxMs, whatever the number', async (t) => {
  for (const time of ['1001', '9223372036854775807']) {
    t.match(errorOf(form(1, 'SET', 'k', 'v', 'NX', 'PX', time)), /ttlMaxMs 1000/, time);
    t.match(errorOf(form(1, 'PEXPIRE', 'k', time)), /ttlMaxMs 1000/, time);
    t.match(errorOf(form(1, 'SET', 'k', 'v', 'NX', 'EX', time)), /ttlMaxMs 1000/, time);
    t.match(errorOf(form(1, 'EXPIRE', 'k', time)), /ttlMaxMs 1000/, time);
  }
  t.match(errorOf(form(1, 'EXPIRE', 'k', '2')), /for 2000 ms/);
  for (const time of ['1000', '0', '-1', '-9223372036854775808'])
    t.equal(errorOf(form(1, 'PEXPIRE', 'k', time)), 'none', time);
  for (const time of ['', ' 1', '1.5', '0x10', '9223372036854775808']) {
    t.match(errorOf(form(1, 'PEXPIRE', 'k', time)), /not an integer/, time);
  }
});

t.test('what only reads may be asked for again', async (t) => {
  t.match(form(1, 'GET', 'k'), { kind: 'command', isRead: true, takes: null });
  t.match(form(2, 'EXISTS', 'k', 'l'), { kind: 'command', isRead: true, keys: 2 });
  t.match(form(2, 'DEL', 'k', 'l'), { kind: 'command', isRead: false, keys: 2, takes: null });
  t.match(form(1, 'PTTL', 'k'), { kind: 'time', unitMs: 1 });
  t.match(form(1, 'TTL', 'k'), { kind: 'time', unitMs: 1000 });
});

t.test('a script has its keys behind their number', async (t) => {
  const found = form(2, 'EVAL', 'return 1', '2', 'k', 'l', 'argument');
  if (found instanceof Uint8Array || found.kind !== 'script') throw new Error('it is a script');
  t.same(found.keys.map(String), ['k', 'l']);
});

t.test('what the table does not have is refused, whatever it is called', async (t) => {
  for (const name of ['setnx', 'constructor', '__proto__', 'tostring', 'mget']) {
    t.match(errorOf(lockFormOf(name, bytes([name, 'k']), 1, 1000)), /is not for locks/, name);
  }
});
