import { Redis } from 'ioredis';
import t from 'tap';
import { SLOT_COUNT, slotOf } from '../../src/routing/slot.js';
import { RedisServer } from '../help/redis-server.js';
import { Seeded } from '../transport/seeded.js';

/** The key lies between braces that are not its own. */
function slot(key: string | Uint8Array): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key;
  return slotOf(Buffer.concat([Buffer.from('}{a'), bytes, Buffer.from('}b')]), 3, 3 + bytes.length);
}

t.test('the examples of the cluster specification', async (t) => {
  // CRC16("123456789") = 0x31C3, appendix A.
  t.equal(slot('123456789'), 0x31c3 % SLOT_COUNT);
  t.equal(slot(''), 0);
  t.equal(slot('foo'), 12182);
  t.equal(slot('{user1000}.following'), slot('user1000'));
  t.equal(slot('{user1000}.followers'), slot('{user1000}.following'));
  t.equal(slot('foo{bar}{zap}'), slot('bar'), 'the first tag counts');
  t.equal(slot('foo{{bar}}zap'), slot('{bar'), 'the first brace that closes ends it');
  t.not(slot('foo{}{bar}'), slot('bar'), 'an empty tag is none, and no other is looked for');
  t.not(slot('}foo{bar'), slot('bar'), 'a tag is closed after it was opened');
});

t.test('slots are those of CLUSTER KEYSLOT of a real Redis, whatever the bytes', async (t) => {
  const server = await RedisServer.start({ args: ['--cluster-enabled', 'yes'] });
  const redis = new Redis(server.port);
  t.teardown(async () => {
    redis.disconnect();
    await server.stop();
  });
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const keys = Array.from({ length: 10_000 }, (_, i) => {
    const key = random.bytes(random.below(40));
    // Two of three with braces, or hardly anything else.
    for (let at = 0; i % 3 > 0 && at < key.length; at++) {
      if (random.below(i % 3 === 1 ? 4 : 2) === 0) key[at] = random.pick([0x7b, 0x7b, 0x7d]);
    }
    return key;
  });
  const wanted = await Promise.all(keys.map((key) => redis.call('CLUSTER', 'KEYSLOT', key)));
  const wrong = keys.filter((key, i) => slot(key) !== wanted[i]);
  t.strictSame(
    wrong.map((key) => key.toString('latin1')),
    [],
  );
});
