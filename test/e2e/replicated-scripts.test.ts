/**
 * Functions and scripts that nodes were taught, and values that come from a DUMP, on a replicated key through the proxy and on a
 * plain one of one Redis: the replies are byte for byte the same, errors included, and so is what is left.
 */
import t, { type Test } from 'tap';
import { type CommandSpec, findCommand } from '../../src/resp/commands.js';
import { isSameState } from '../help/command-comparison.js';
import { digestOf, type KeyDigest } from '../help/key-digest.js';
import { connectAll, deathsOf, deployReplicated } from '../help/replicated-deployment.js';
import { connect, type RespClient } from '../help/resp-client.js';

t.setTimeout(60_000);

const WRITES = `
redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
if ARGV[1] == 'fails' then error('no more') end
if ARGV[1] == 'refuses' then return redis.error_reply('REFUSED as was wanted') end
redis.setresp(3)
return {redis.call('GET', KEYS[1]), {double = 0.1}, {map = {a = 1}}, {set = {only = true}}, {ok = 'fine'}, true, false, 3.9, #ARGV}`;
const READS = `
redis.setresp(3)
return {redis.call('EXISTS', KEYS[1]), redis.call('GET', KEYS[1]), {double = 0.1}, false, #KEYS}`;

const LIBRARY = `#!lua name=mine
redis.register_function('f', function(KEYS, ARGV) ${WRITES} end)
redis.register_function{function_name = 'g', flags = {'no-writes'}, callback = function(KEYS, ARGV) ${READS} end}
`;

/** On the key `k`, one after the other. */
const CALLS = `
FCALL g 1 k | FCALL_RO g 1 k | FCALL f 1 k v | FCALL_RO g 1 k | FCALL g 1 k | FCALL f 1 k w more words | FCALL_RO g 1 k
FCALL f 1 k fails | FCALL f 1 k refuses | FCALL f 1 k | FCALL_RO f 1 k v | FCALL nosuch 1 k | FCALL_RO nosuch 1 k
DEL k | EVALSHA WRITES 1 k v | EVALSHA READS 1 k | EVALSHA_RO READS 1 k | EVALSHA WRITES 1 k w more words | EVALSHA_RO READS 1 k
EVALSHA WRITES 1 k fails | EVALSHA WRITES 1 k refuses | EVALSHA WRITES 1 k | EVALSHA_RO WRITES 1 k v
EVALSHA 0000000000000000000000000000000000000000 1 k | EVALSHA_RO 0000000000000000000000000000000000000000 1 k
DEL k | RPUSH k a b | FCALL_RO g 1 k | EVALSHA_RO READS 1 k | FCALL f 1 k v | EXPIREAT k 4000000000 | FCALL f 1 k v | EXPIRETIME k
`
  .trim()
  .split(/ \| |\n/);

/** Where LIST and STRING stand for what DUMP has shown. */
const RESTORES = `
RESTORE k 0 LIST | LRANGE k 0 -1 | RESTORE k 0 STRING | RESTORE k 0 STRING REPLACE | GET k | TTL k
RESTORE k 4000000000000 LIST ABSTTL | RESTORE k 4000000000000 LIST REPLACE ABSTTL | PEXPIRETIME k | RPUSH k x | LRANGE k 0 -1
RESTORE k 0 STRING REPLACE IDLETIME 100 | GET k | RESTORE k 0 LIST REPLACE FREQ 7 | LLEN k | RESTORE k 0 LIST REPLACE IDLETIME 1 FREQ 1
RESTORE k 0 broken | RESTORE k 0 broken REPLACE | RESTORE k -1 LIST REPLACE | RESTORE k x LIST | RESTORE k 0 LIST NONSENSE | LLEN k
RESTORE k 1000 STRING REPLACE ABSTTL | EXISTS k | RESTORE k 1000000 STRING | GET k | DEL k | RESTORE k 0 LIST REPLACE | TYPE k
`
  .trim()
  .split(/ \| |\n/);

type Words = readonly (string | Uint8Array)[];

const place = await deployReplicated(t);

/** A worker after the other is asked, of both proxies. */
async function compare(t: Test, protocol: 2 | 3, lines: readonly Words[]): Promise<void> {
  const through = [...(await connectAll(t, place.proxies[0], 2)), ...(await connectAll(t, place.proxies[1], 1))];
  const direct = await connect(t, place.plain.port);
  const looks = [await connect(t, place.proxies[0].port), await connect(t, place.plain.port)] as const;
  for (const client of [...through, direct]) await client.raw('HELLO', `${protocol}`);
  for (const [index, words] of [['DEL', 'k'], ...lines].entries()) {
    const said = words.map((word) => (typeof word === 'string' ? word : '(a dump)')).join(' ');
    const expected = await direct.raw(...words);
    const carried = await (through[index % through.length] as RespClient).raw(...words);
    t.equal(carried.toString('latin1'), expected.toString('latin1'), said);
    const [own, theirs] = (await Promise.all(looks.map((look) => digestOf(look, 'k')))) as [KeyDigest, KeyDigest];
    // Moments that are counted from now differ.
    if (isSameState(specOf(`${words[0]}`), theirs, own)) t.pass(`the same is left by ${said}`);
    else t.same(own, theirs, `what is left by ${said}`);
  }
}

for (const protocol of [2, 3] as const) {
  t.test(`in RESP${protocol} functions and scripts that were loaded`, async (t) => {
    const [client, direct] = [await connect(t, place.proxies[0].port), await connect(t, place.plain.port)];
    const shas: Record<string, string> = {};
    for (const asker of [client, direct]) {
      t.equal(await asker.command('FUNCTION', 'LOAD', 'REPLACE', LIBRARY), 'mine');
      shas['WRITES'] = `${await asker.command('SCRIPT', 'LOAD', WRITES)}`;
      shas['READS'] = `${await asker.command('SCRIPT', 'LOAD', READS)}`;
      t.match(await asker.raw('FCALL', 'f', '1', 'k', 'v'), /^\*9\r\n\$1\r\nv\r\n/, 'it is there');
    }
    const lines = CALLS.map((line) => line.split(' ').map((word) => shas[word] ?? word));
    await compare(t, protocol, lines);
  });

  t.test(`in RESP${protocol} values from a DUMP`, async (t) => {
    const [client, direct] = [await connect(t, place.proxies[0].port), await connect(t, place.plain.port)];
    // Each side restores what the other has shown, too.
    for (const source of [client, direct]) {
      const dumps: Record<string, Buffer> = {};
      await source.command('DEL', 'list', 'string');
      await source.command('RPUSH', 'list', 'a', '1', 'x'.repeat(100));
      await source.command('SET', 'string', '\xff\x00\r\n');
      for (const key of ['list', 'string']) dumps[key.toUpperCase()] = payloadOf(await source.raw('DUMP', key));
      await compare(
        t,
        protocol,
        RESTORES.map((line) => line.split(' ').map((word) => dumps[word] ?? word)),
      );
    }
  });
}

t.test('no worker has died of all that', async (t) => {
  t.same(deathsOf(place), []);
});

function specOf(name: string): CommandSpec {
  return findCommand(Buffer.from(name), 0, name.length) as CommandSpec;
}

/** Of a bulk string. */
function payloadOf(frame: Buffer): Buffer {
  return frame.subarray(frame.indexOf('\n') + 1, -2);
}
