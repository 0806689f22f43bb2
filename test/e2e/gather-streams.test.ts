/** XREAD of streams on several shards: what is too much stays where it is, and what is wrong is told as one Redis tells it. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { RedisServer } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';

const FILL = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], i .. '-1', 'f', string.rep('x', ARGV[2])) end return 1";

async function sentBy(nodes: readonly RespClient[]): Promise<number> {
  const all = await Promise.all(nodes.map((node) => say(node, 'INFO', 'stats')));
  return all.reduce((sum, text) => sum + Number(/total_net_output_bytes:(\d+)/.exec(text)?.[1]), 0);
}

t.test('entries that are more than a limit are not sent by the nodes, and others are served', async (t) => {
  const limits = { gatherBytesMax: '1mb', gatherWorkerBytesMax: '2mb', workerMemoryMax: '64mb' };
  const deployment = await deploy(t, { workers: 1, limits });
  const { port, servers } = deployment;
  const nodes = await Promise.all(servers.map((server) => connect(t, server.port)));
  const [a, b, c] = [deployment.key(0), deployment.key(1), deployment.key(1, 'other')];
  await nodes[0]?.command('EVAL', FILL, '1', a, '3000', '10000');
  await nodes[1]?.command('EVAL', FILL, '1', b, '3000', '10000');
  await nodes[1]?.command('EVAL', FILL, '1', c, '30', '10000');
  const before = await sentBy(nodes);
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect(t, port)));
  const ask = (client: RespClient) => say(client, 'XREAD', 'STREAMS', a, b, '0', '0');
  for (const reply of await Promise.all(clients.map(ask))) t.match(reply, /^-OVERLOADED .* take \d+ bytes \(gather/);
  t.ok((await sentBy(nodes)) - before < 500_000, 'they said how much it is');
  const [client] = clients as [RespClient];
  const counted = await say(client, 'XREAD', 'COUNT', '2', 'STREAMS', b, a, '7', '8');
  t.match(counted.replaceAll(/x+/g, 'x'), /^\*2\r\n.*\r\n7-1\r\n.*\r\n8-1\r\n.*\r\n8-1\r\n.*\r\n9-1\r\n/s);
  t.ok(counted.length < 41_000);
  const some = await say(client, 'XREAD', 'STREAMS', a, c, '2990', '0');
  t.equal(some.match(/x{10000}/g)?.length, 41, 'more than comes unasked, and less than the limit');
});

t.test('entries are read as by one Redis, however many, and what is wrong is told in its words', async (t) => {
  const deployment = await deploy(t);
  const server = await RedisServer.start();
  t.teardown(() => server.stop());
  const [client, one] = [await connect(t, deployment.port), await connect(t, server.port)];
  const [a, b, c] = [deployment.key(0), deployment.key(1), deployment.key(2)] as const;
  const [text, none] = [deployment.key(1, 'text'), deployment.key(2, 'none')] as const;
  for (const each of [client, one]) {
    await each.command('SET', text, 'x');
    for (const [key, entries, bytes] of [
      [a, '700', '3'],
      [b, '129', '2000'],
      [c, '1', '5'],
    ] as const)
      await each.command('EVAL', FILL, '1', key, entries, bytes);
  }
  for (const protocol of ['2', '3']) {
    for (const each of [client, one]) await each.raw('HELLO', protocol);
    for (const words of [
      ['STREAMS', a, b, c, '0', '0', '0'],
      ['STREAMS', c, none, a, '0', '0', '699'],
      ['STREAMS', a, b, '0-1', '100-0'],
      ['STREAMS', b, a, '$', '$'],
      ['STREAMS', none, a, '0', '$'],
      ['COUNT', '0', 'STREAMS', c, b, '0', '0'],
      ['COUNT', '1', 'STREAMS', a, b, '0', '0'],
      ['COUNT', '127', 'STREAMS', b, a, '0', '3'],
      ['COUNT', '128', 'STREAMS', a, b, '5', '0'],
      ['COUNT', '99999999999999999999', 'STREAMS', a, b, '0', '0'],
      ['STREAMS', a, b, '0', '>'],
      ['STREAMS', a, b, '>', 'bad'],
      ['STREAMS', a, b, 'bad', '>'],
      ['STREAMS', a, text, 'bad', '0'],
      ['STREAMS', text, a, '0', 'bad'],
      ['STREAMS', a, text, '0', 'bad'],
      ['STREAMS', c, text, a, '$', '$', '>'],
      ['STREAMS', c, a, text, '$', '>', '$'],
    ]) {
      const [found, wanted] = [await client.raw('XREAD', ...words), await one.raw('XREAD', ...words)];
      t.ok(
        found.equals(wanted),
        `${protocol} ${words.join(' ')}: ${found.subarray(0, 100)} ${wanted.subarray(0, 100)}`,
      );
    }
  }
});
