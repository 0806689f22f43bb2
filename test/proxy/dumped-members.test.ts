/** Members read out of what DUMP gives, at the sizes at which Redis writes an entry otherwise. */
import t from 'tap';
import { DumpedMembers } from '../../src/proxy/dumped-members.js';
import { RedisServer } from '../help/redis-server.js';
import { parseReply } from '../help/reference-parser.js';
import { connect, type RespClient } from '../help/resp-client.js';

const SORTED_LISTPACK = 17;
const HASH_LISTPACK = 16;
const SET_LISTPACK = 20;

/** Bytes of texts whose entries, with the one, two or five bytes before the text, are just below and above a size at which another byte says how many they are. */
const LENGTHS = [62, 63, 64, 125, 126, 127, 4_095, 4_096, 16_376, 16_377, 16_378, 16_379, 16_380];
const LENGTHS_MAX = [2_097_144, 2_097_145, 2_097_146, 2_097_147];

async function dumpOf(client: RespClient, key: string): Promise<Uint8Array> {
  return Buffer.from(parseReply(await client.raw('DUMP', key))?.value as unknown as string, 'latin1');
}

function membersOf(dump: Uint8Array): string[] {
  const found: string[] = [];
  const isWhole = DumpedMembers.of(dump, true, 8 * 1024 * 1024)?.each((source, from, to) => {
    found.push(Buffer.from(source.buffer, source.byteOffset + from, to - from).toString('latin1'));
  });
  return isWhole === true ? found : ['not all'];
}

t.test('what follows an entry is found, whatever the bytes of the entry', async (t) => {
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const client = await connect(t, server.port);
  for (const kind of ['zset', 'hash']) await client.command('CONFIG', 'SET', `${kind}-max-listpack-value`, '10000000');
  for (const length of [...LENGTHS, ...LENGTHS_MAX]) {
    const long = 'x'.repeat(length);
    await client.command('DEL', 'sorted', 'hash');
    await client.command('ZADD', 'sorted', '1', long, '2', 'bb', '3', '12345');
    await client.command('HSET', 'hash', 'aa', long, 'bb', '12345');
    const [sorted, hash] = [await dumpOf(client, 'sorted'), await dumpOf(client, 'hash')];
    t.same([sorted[0], hash[0]], [SORTED_LISTPACK, HASH_LISTPACK]);
    t.ok(sameTexts(membersOf(sorted), [long, 'bb', '12345']), `a sorted set with one of ${length} bytes`);
    // A set's, since Redis 7.2, is a listpack of the same make.
    hash[0] = SET_LISTPACK;
    t.ok(sameTexts(membersOf(hash), ['aa', long, 'bb', '12345']), `a set with one of ${length} bytes`);
  }
});

/** Without showing them: some are long. */
function sameTexts(found: readonly string[], wanted: readonly string[]): boolean {
  return found.length === wanted.length && found.every((text, at) => text === wanted[at]);
}
