/** `readModifyWrite: reject`, of each level that has it, on real servers: what changes a value is refused, and nothing else. */
import t from 'tap';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(120_000);

const LEVELS = [
  { prefix: 'q:', consistency: 'quorum', readQuorum: 1, writeQuorum: 3 },
  { prefix: 'e:', consistency: 'eventual' },
  { prefix: 'w:', consistency: 'weak' },
] as const;

/** `~` is the prefix. */
const CARRIED_OUT = [
  'SET ~a 1',
  'SETEX ~a 10 1',
  'PSETEX ~a 10000 1',
  'SET ~a 1 EX 10',
  'MSET ~a 1 ~b 2',
  'GET ~a',
  'MGET ~a ~b',
  'TTL ~a',
  'DEL ~b',
  'UNLINK ~b',
];

const REFUSED = [
  'INCR ~a',
  'SET ~a 1 NX',
  'SET ~a 1 GET',
  'APPEND ~a x',
  'EXPIRE ~a 5',
  'LPUSH ~l x',
  'GETDEL ~a',
  'BLPOP ~l 1',
  'EVAL return(1) 1 ~a',
];

t.test('readModifyWrite: reject refuses what changes a value, and nothing else', async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const replicated = { pool: 'main', mode: 'replicated', copies: 3, readModifyWrite: 'reject' };
  const proxy = await ProxyProcess.start({
    layout: {
      pools: { main: { nodes: servers.map(({ url }, index) => ({ name: 'abc'[index], url })) } },
      keyspaces: LEVELS.map((level) => ({ ...level, ...replicated })),
    },
    workers: 1,
  });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  for (const { prefix, consistency } of LEVELS) {
    const tell = (line: string) => say(client, ...line.replaceAll('~', prefix).split(' '));
    await waitFor(`${consistency} keys to be served`, async () => (await tell('DEL ~no')) === ':0\r\n');
    for (const line of CARRIED_OUT) t.notMatch(await tell(line), /^-/, `${consistency}: ${line}`);
    for (const line of REFUSED) t.match(await tell(line), /^-ERR readModifyWrite: reject/, `${consistency}: ${line}`);
    t.equal(await tell('MULTI'), '+OK\r\n');
    t.match(await tell('SET ~a 2'), /^-ERR readModifyWrite: reject/);
    t.match(await tell('EXEC'), /^-EXECABORT/);
    t.equal(await tell('GET ~a'), '$1\r\n1\r\n', consistency);
  }
  t.same(
    proxy.logLines.filter(({ msg }) => msg === 'worker-died'),
    [],
  );
});
