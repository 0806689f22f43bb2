/** What CLIENT REPLY drops, held against one Redis: random commands, and all the bytes that come back. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import type { Random } from '../help/random.js';
import { randomFromSeed } from '../help/random.js';
import { startRedisServers } from '../help/redis-server.js';
import { encodeWords, RespClient } from '../help/resp-client.js';

const SWITCHES = ['CLIENT REPLY ON', 'CLIENT REPLY OFF', 'CLIENT REPLY SKIP', 'client reply skip', 'CLIENT REPLY BAD'];
const COMMANDS = [
  ...['PING', 'PING hello', 'ECHO x', 'NOSUCH', 'GET', 'SET {t}a 1', 'INCR {t}a', 'GET {t}a', 'MGET {t}a {t}b'],
  ...['DEL {t}a {t}b', 'CLIENT GETNAME', 'CLIENT SETNAME me', 'CLIENT NO-EVICT ON', 'CLIENT NO-EVICT maybe', 'EXEC'],
  ...['LPUSH {t}l x', 'LRANGE {t}l 0 -1', 'DISCARD'],
];

function script(random: Random): string[] {
  const lines: string[] = [];
  for (let left = random.size(30); left > 0; left--) {
    if (random.chance(30)) lines.push(random.pick(SWITCHES));
    // CLIENT REPLY inside of MULTI is refused by the proxy.
    else if (random.chance(10)) lines.push('MULTI', random.pick(COMMANDS), random.pick(COMMANDS), 'EXEC');
    else lines.push(random.chance(5) ? random.pick(['RESET', 'DBSIZE']) : random.pick(COMMANDS));
  }
  return lines;
}

/** All that comes in answer to these commands, sent in one piece, up to an end that is asked for. */
async function answers(client: RespClient, lines: readonly string[]): Promise<string> {
  const commands = ['FLUSHALL', ...lines, 'RESET', 'CLIENT REPLY ON', 'ECHO the-end'];
  client.send(Buffer.concat(commands.map((line) => encodeWords(line.split(' ')))));
  let text = '';
  while (!text.endsWith('the-end\r\n')) text += (await client.next()).toString('latin1');
  return text;
}

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, the same replies are dropped as by one Redis`, async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    const deployment = await deploy(t, { transport, nodes: 2 });
    const [reference] = await startRedisServers(1);
    t.teardown(() => reference?.stop());
    const client = await RespClient.connect(deployment.port);
    const direct = await RespClient.connect(reference?.port as number);
    for (let round = 0; round < 100; round++) {
      const lines = script(random);
      const [got, expected] = [await answers(client, lines), await answers(direct, lines)];
      if (got !== expected) t.equal(got, expected, lines.join('; '));
    }
    t.pass('100 scripts');
    client.close();
    direct.close();
  });
}
