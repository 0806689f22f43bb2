/** What a node sends to a subscriber: which pushes are messages, and of what. */
import t from 'tap';
import {
  confirmation,
  messageKind,
  messageName,
  type SubscriptionKind,
  subscribeCommands,
} from '../../src/resp/message-frame.js';

function push(...words: string[]): Uint8Array {
  return Buffer.from(`>${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`, 'latin1');
}

const NAME = 'a\r\n\xff:0';

t.test('messages are told from all else that is pushed', async (t) => {
  for (const [word, kind, more] of [
    ['message', 'channel', []],
    ['pmessage', 'pattern', ['channel']],
    ['smessage', 'shard', []],
    ['subscribe', null, []],
    ['psubscribe', null, []],
    ['ssubscribe', null, []],
    ['unsubscribe', null, []],
    ['punsubscribe', null, []],
    ['sunsubscribe', null, []],
    ['invalidate', null, []],
    ['massage!', null, []],
  ] as const) {
    for (const name of [NAME, '', 'x'.repeat(12_345)]) {
      const frame = Buffer.concat([Buffer.from('before'), push(word, name, ...more, 'text')]);
      t.equal(messageKind(frame, 6), kind, word);
      if (kind !== null) t.equal(messageName(frame, 6, kind as SubscriptionKind), name);
    }
  }
  t.equal(messageKind(Buffer.from('>1\r\n:7\r\n'), 0), null);
});

t.test('names go out as they came in, many of them in several commands', async (t) => {
  t.same(subscribeCommands('pattern', false, []), []);
  const [one] = subscribeCommands('shard', true, [NAME]);
  t.same(one, Buffer.from(`*2\r\n$12\r\nSUNSUBSCRIBE\r\n$${NAME.length}\r\n${NAME}\r\n`, 'latin1'));
  const many = subscribeCommands(
    'channel',
    false,
    Array.from({ length: 2_500 }, (_, number) => `c${number}`),
  );
  t.same(
    many.map((command) => Buffer.from(command).toString().split('\r\n')[0]),
    ['*1001', '*1001', '*501'],
  );
  t.same(
    confirmation('channel', true, NAME, 12, 3),
    Buffer.from(`>3\r\n$11\r\nunsubscribe\r\n$${NAME.length}\r\n${NAME}\r\n:12\r\n`, 'latin1'),
  );
  t.same(confirmation('pattern', true, null, 0, 2), Buffer.from('*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n'));
});
