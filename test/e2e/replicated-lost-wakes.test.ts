/** Commands that wait for data of a replicated key do not write while they wait, and get what no message told them of. */

import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { connectAll, deployReplicated } from '../help/replicated-deployment.js';
import { connect, type RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(120_000);

/** More than two polls. */
const SOME_POLLS_MS = 2_500;
/** Of a ballot: of its epoch, and of its counter. */
const EPOCH_DIGITS = 8;
const COUNTER_DIGITS = 12;

const place = await deployReplicated(t);

/** What the nodes say of the key's ballots. */
function metasOf(nodes: readonly RespClient[], key: string): Promise<unknown[]> {
  return Promise.all(nodes.map((node) => node.command('GET', `~rl:m:${key}`)));
}

/** Resolves when that many clients wait, and what their first attempts wrote is everywhere; with what the nodes say then. */
async function untilQuiet(
  look: RespClient,
  nodes: readonly RespClient[],
  key: string,
  count: number,
): Promise<unknown[]> {
  await waitFor('they wait', async () =>
    `${await look.command('INFO', 'clients')}`.includes(`blocked_clients:${count}\r`),
  );
  let before: unknown[] = [];
  await waitFor('the first attempt is over', async () => {
    const last = before;
    before = await metasOf(nodes, key);
    await sleep(100);
    return `${before}` === `${last}`;
  });
  return before;
}

/** As if a proxy had written that value of which no message is heard. */
async function writeUnheard(nodes: readonly RespClient[], key: string, ...words: string[]): Promise<void> {
  for (const node of nodes) {
    const end = EPOCH_DIGITS + COUNTER_DIGITS;
    const meta = `${(await node.command('GET', `~rl:m:${key}`)) ?? '0'.repeat(end)}`;
    const counter = String(Number(meta.slice(EPOCH_DIGITS, end)) + 1000).padStart(COUNTER_DIGITS, '0');
    const ballot = `${meta.slice(0, EPOCH_DIGITS)}${counter}${'7'.repeat(20)}`;
    await node.command('MULTI');
    await node.command('SET', `~rl:m:${key}`, `${ballot}${ballot}${NO_LINEAGE}10`);
    await node.command(...(words as [string, ...string[]]));
    await node.command('EXEC');
  }
}

async function connectNodes(t: Test): Promise<RespClient[]> {
  return Promise.all(place.servers.map(({ port }) => connect(t, port)));
}

t.test('who waits for a list writes nothing, and gets what it was not told of', async (t) => {
  const [one] = place.proxies;
  const [look, client] = (await connectAll(t, one, 2)) as [RespClient, RespClient];
  const nodes = await connectNodes(t);
  const reply = say(client, 'BLPOP', 'list', '0');
  t.same(await untilQuiet(look, nodes, 'list', 1), [null, null, null], 'nor did it when it came');
  await sleep(SOME_POLLS_MS);
  t.same(await metasOf(nodes, 'list'), [null, null, null]);
  await writeUnheard(nodes, 'list', 'RPUSH', 'list', 'value');
  t.equal(await reply, '*2\r\n$4\r\nlist\r\n$5\r\nvalue\r\n');
});

t.test('who waits for a sorted set does not try while something else lies there', async (t) => {
  const [, two] = place.proxies;
  const [look, client] = (await connectAll(t, two, 2)) as [RespClient, RespClient];
  const nodes = await connectNodes(t);
  const reply = say(client, 'BZPOPMIN', 'zset', '0');
  await untilQuiet(look, nodes, 'zset', 1);
  t.equal(await look.command('SET', 'zset', 'text'), 'OK');
  const before = await untilQuiet(look, nodes, 'zset', 1);
  await sleep(SOME_POLLS_MS);
  t.same(await metasOf(nodes, 'zset'), before);
  await Promise.all(nodes.map((node) => node.command('DEL', 'zset')));
  await writeUnheard(nodes, 'zset', 'ZADD', 'zset', '1', 'a');
  t.equal(await reply, '*3\r\n$4\r\nzset\r\n$1\r\na\r\n$1\r\n1\r\n');
});

t.test('a group that waits for a stream writes nothing while the stream stays as it is', async (t) => {
  const [, two] = place.proxies;
  const [look, client] = (await connectAll(t, two, 2)) as [RespClient, RespClient];
  const nodes = await connectNodes(t);
  t.equal(await look.command('XGROUP', 'CREATE', 'stream', 'g', '$', 'MKSTREAM'), 'OK');
  const reply = say(client, 'XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '0', 'STREAMS', 'stream', '>');
  await untilQuiet(look, nodes, 'stream', 1);
  // The first look has nothing to compare with.
  await sleep(SOME_POLLS_MS);
  const before = await metasOf(nodes, 'stream');
  await sleep(SOME_POLLS_MS);
  t.same(await metasOf(nodes, 'stream'), before);
  await writeUnheard(nodes, 'stream', 'XADD', 'stream', '1-1', 'f', 'v');
  t.match(await reply, /1-1/);
});
