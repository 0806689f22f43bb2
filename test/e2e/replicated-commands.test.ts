/** Commands on replicated keys through two proxies: on one key, on several, and on none. */
import t from 'tap';
import { randomFromSeed } from '../help/random.js';
import { connectAll, deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, type RespClient, say } from '../help/resp-client.js';
import { compareCommands } from './single-key-commands.js';

t.setTimeout(120_000);

const place = await deployReplicated(t);

compareCommands(t, place);

/** On keys `a`, `b` and `c`; without a state before but what the lines before have made. */
const SEVERAL_KEYS = `
MSET a 1 b 2 c 3 | MGET a b c | MGET a none b a | EXISTS a b none a | TOUCH a b none | MSET a 1 b | MSET a x a y a z
GET a | DEL a b none | UNLINK c none | EXISTS a b c | RPUSH l x y | MGET a l b | MSET l str a str | MGET l a | DEL l a
MGET | DEL | MSET | EXISTS
`
  .trim()
  .split(/ \| |\n/);

t.test('commands of several replicated keys', async (t) => {
  const [client, other] = (await connectAll(t, place.proxies[0], 2)) as [RespClient, RespClient];
  const direct = await connect(t, place.plain.port);

  for (const protocol of ['2', '3']) {
    t.test(`in RESP${protocol} as one Redis, key by key`, async (t) => {
      for (const asker of [client, direct]) await asker.raw('HELLO', protocol);
      for (const line of SEVERAL_KEYS)
        t.equal(await say(client, ...line.split(' ')), await say(direct, ...line.split(' ')), line);
      await client.raw('HELLO', '2');
    });
  }

  t.test('hundreds of them at once', async (t) => {
    const keys = Array.from({ length: 300 }, (_, index) => `many:${index}`);
    t.equal(await client.command('MSET', ...keys.flatMap((key, index) => [key, `${index}`])), 'OK');
    t.same(
      await other.command('MGET', ...keys),
      keys.map((_, index) => `${index}`),
    );
    t.equal(await client.command('DEL', ...keys, ...keys), keys.length);
    t.equal(await other.command('EXISTS', ...keys), 0);
  });

  t.test('what is not one key is refused with a reason, and has no effect', async (t) => {
    await client.command('MSET', 'a', '1', 'b', '2');
    const refused: readonly (readonly [string, RegExp])[] = [
      ['MSETNX x 1 y 2', /^-CROSSSLOT Replicated keys are agreed upon one by one/],
      ['RENAME a b', /^-CROSSSLOT Replicated keys are agreed upon one by one/],
      ['SINTERSTORE a b', /^-CROSSSLOT/],
      ['BLPOP x y 0', /^-CROSSSLOT/],
      ['XREAD BLOCK 0 STREAMS x y $ $', /^-CROSSSLOT/],
      ['EVAL return(1) 2 a b', /^-CROSSSLOT/],
      ['MSET a 9 plain:a 9', /^-CROSSSLOT Some of the keys are replicated and others are not/],
      ['MGET plain:a a', /^-CROSSSLOT Some of the keys/],
      ['DEL a plain:a', /^-CROSSSLOT Some of the keys/],
      ['RENAME a plain:a', /^-CROSSSLOT Some of the keys/],
      ['MOVE a 1', /^-ERR replicated keyspaces exist in database 0 only/],
      ['COPY a a DB 1', /^-ERR replicated keyspaces exist in database 0 only/],
      ['WATCH a b', /^-CROSSSLOT/],
      ['WATCH a plain:a', /^-CROSSSLOT/],
    ];
    for (const [line, reason] of refused) t.match(await say(client, ...line.split(' ')), reason, line);
    t.equal(await say(client, 'MGET', 'a', 'b', 'x'), '*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n');
    t.equal(await say(direct, 'EXISTS', 'plain:a'), ':0\r\n');
    t.equal(await say(client, 'COPY', 'a', 'a'), await say(direct, 'COPY', 'a', 'a'));
    t.equal(await say(client, 'MSETNX', 'a', '7'), ':0\r\n', 'one key is as one Redis');
    t.equal(await say(client, 'MSETNX', 'n', '7', 'n', '8'), ':1\r\n');
    t.equal(await say(client, 'GET', 'n'), '$1\r\n8\r\n');
  });

  t.test('keys of the proxy itself are refused', async (t) => {
    for (const line of [
      'GET ~rl:x',
      'SET ~rl:x 1',
      'DEL a ~rl:x',
      'MGET ~rl:m:a a',
      'WATCH ~rl:m:a',
      'EVAL return(1) 1 ~rl:x',
    ])
      t.match(await say(client, ...line.split(' ')), /^-[A-Z]+ .*~rl:/, line);
    t.equal(await say(client, 'EXISTS', 'a'), ':1\r\n');
  });

  t.test('another database, and tracking, are refused while they last', async (t) => {
    const reason = /^-ERR replicated keys are in database 0 only/;
    t.equal(await say(client, 'SELECT', '1'), '+OK\r\n');
    for (const line of ['GET a', 'SET a 1', 'MGET a b', 'WATCH a', 'BLPOP x 0']) {
      t.match(await say(client, ...line.split(' ')), reason, line);
    }
    t.equal(await say(client, 'SELECT', '0'), '+OK\r\n');
    t.equal(await say(client, 'GET', 'a'), '$1\r\n1\r\n');
    const tracking = await connect(t, place.proxies[0].port);
    await tracking.raw('HELLO', '3');
    t.equal(await say(tracking, 'CLIENT', 'TRACKING', 'ON'), '+OK\r\n');
    for (const line of ['GET a', 'SET a 1', 'MGET a b']) {
      t.match(await say(tracking, ...line.split(' ')), /^-ERR replicated keys are not tracked/, line);
    }
    t.equal(await say(tracking, 'CLIENT', 'TRACKING', 'OFF'), '+OK\r\n');
    t.equal(await say(tracking, 'GET', 'a'), '$1\r\n1\r\n');
  });

  t.test('CLIENT REPLY OFF and SKIP: carried out, and not answered', async (t) => {
    const quiet = await connect(t, place.proxies[0].port);
    const lines = [
      'CLIENT REPLY OFF',
      'SET q 1',
      'MSET q 2 r 2',
      'CLIENT REPLY ON',
      'CLIENT REPLY SKIP',
      'INCR q',
      'GET q',
    ];
    quiet.send(Buffer.concat(lines.map((line) => encodeWords(line.split(' ')))));
    t.equal(`${await quiet.next()}`, '+OK\r\n');
    t.equal(`${await quiet.next()}`, '$1\r\n3\r\n');
  });

  t.test('replies come in the order of the commands, whatever each of them takes', async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    for (let round = 0; round < 20; round++) {
      const lines = Array.from({ length: 50 }, (_, index) => random.pick(pipelined(index, random.below(20))));
      client.send(Buffer.concat(lines.map(([line]) => encodeWords(line.split(' ')))));
      for (const [line, expected] of lines) {
        const reply = `${await client.next()}`;
        if (!expected.test(reply)) t.match(reply, expected, line);
      }
    }
  });

  t.test('commands without keys, and those of all keys', async (t) => {
    t.equal(await say(client, 'PING'), '+PONG\r\n');
    t.match(await say(client, 'INFO', 'server'), /redis_version:7/);
    t.match(await say(client, 'CONFIG', 'GET', 'maxmemory-policy'), /noeviction/);
    t.equal(await say(client, 'PUBLISH', 'nobody', 'hears'), ':0\r\n');
    t.equal(await say(client, 'EVAL_RO', 'return 1', '0'), ':1\r\n');
    t.match(await say(client, 'EVAL', 'return 1', '0'), /^-ERR a script without keys would run past/);
    for (const line of ['FLUSHALL', 'FLUSHDB', 'FLUSHALL ASYNC']) {
      t.match(await say(client, ...line.split(' ')), /^-ERR .*replicated/, line);
    }
    t.equal(await say(client, 'GET', 'a'), '$1\r\n1\r\n', 'nothing was flushed');
  });

  t.test('a plain key beside them goes to its node alone', async (t) => {
    t.equal(await say(client, 'SET', 'plain:x', '1'), '+OK\r\n');
    t.equal(await say(direct, 'GET', 'plain:x'), '$1\r\n1\r\n');
    t.equal(await say(client, 'MSET', 'plain:x', '2', 'plain:y', '3'), '+OK\r\n');
    t.equal(await say(client, 'RENAME', 'plain:x', 'plain:y'), '+OK\r\n');
    t.equal(await say(direct, 'GET', 'plain:y'), '$1\r\n2\r\n');
  });
});

/** Commands, each with what its reply is like: it says which of them it answers. */
function pipelined(index: number, key: number): (readonly [string, RegExp])[] {
  return [
    [`ECHO ${index}`, new RegExp(`^\\$\\d+\\r\\n${index}\\r\\n$`)],
    [`EVAL return(${index}) 1 p:${key}`, new RegExp(`^:${index}\\r\\n$`)],
    [`PING ${index}`, new RegExp(`^\\$\\d+\\r\\n${index}\\r\\n$`)],
    [`MGET none none ${'none '.repeat(index)}none`, new RegExp(`^\\*${index + 3}\\r\\n`)],
    [`SET p:${key} ${index} GET`, /^\$/],
    [`GET plain:none`, /^\$-1/],
    [`NOSUCH ${index}`, new RegExp(`'${index}'`)],
  ];
}

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});
