/** More clients than usual, and more than there is room for. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { processorMs } from '../help/process-facts.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(
    `on ${transport}, clients beyond clientsMax are told so, as by Redis, and served when others have left`,
    async (t) => {
      const deployment = await deploy(t, { transport, limits: { clientsMax: 5 } });
      const clients = await Promise.all(Array.from({ length: 5 }, () => RespClient.connect(deployment.port)));
      for (const client of clients) t.equal(await client.command('PING'), 'PONG');
      const sixth = await RespClient.connect(deployment.port);
      t.equal((await sixth.next()).toString(), '-ERR max number of clients reached\r\n');
      await within('the end of the connection', sixth.closed);
      clients.pop()?.close();
      await waitFor('a place for one more', async () => {
        const client = await RespClient.connect(deployment.port);
        clients.push(client);
        return (await client.command('PING')) === 'PONG';
      });
      for (const client of clients) client.close();
    },
  );

  t.test(`on ${transport}, 5,000 clients that connect at once each get their reply`, async (t) => {
    const count = Math.min(5_000, ownDescriptorsMax() - 500);
    const deployment = await deploy(t, { transport });
    const first = await RespClient.connect(deployment.port);
    await first.command('SET', 'key', 'value');
    const clients = await Promise.all(Array.from({ length: count }, () => RespClient.connect(deployment.port)));
    const replies = await Promise.all(
      clients.map(async (client, index) => [await client.command('PING'), await client.command('ECHO', `${index}`)]),
    );
    t.ok(
      replies.every(([pong, echo], index) => pong === 'PONG' && echo === `${index}`),
      `${count} clients have PONG and their echo`,
    );
    t.match(await first.command('INFO', 'clients'), `connected_clients:${count + 1}\r\n`);
    for (const client of clients) client.close();
    await waitFor('an end of the many', async () =>
      /connected_clients:1\r\n/.test(`${await first.command('INFO', 'clients')}`),
    );
    first.close();
  });

  t.test(
    `on ${transport}, more clients than descriptors: nodes are reached still, and some clients are refused`,
    async (t) => {
      const deployment = await deploy(t, { transport, descriptorsMax: 160 });
      const { proxy, servers } = deployment;
      const { clientsMax, descriptors } = await proxy.waitForLog('clients-max-reduced');
      t.equal(descriptors, 160);
      const { clients, served, refused } = await crowd(deployment.port, 250);
      await waitFor('a reply for each client, or its end', () => served.length + refused.length === clients.length);
      t.equal(served.length, clientsMax, 'as many are served as the log says');

      const startMs = performance.now();
      const before = processorMs(proxy.pid);
      await sleep(1_000);
      const busy = (processorMs(proxy.pid) - before) / (performance.now() - startMs);
      t.ok(busy < 0.5, `the processor is busy for ${Math.round(busy * 100)} % of the time`);

      // A node that comes back needs descriptors, too.
      await servers[0]?.kill9();
      await proxy.waitForLog('node-down');
      await servers[0]?.restart();
      const [first] = served as [RespClient];
      await waitFor('the node to be used', async () => (await first.command('SET', deployment.key(0), 'v')) === 'OK');
      const echoes = await Promise.all(served.map((client, index) => client.command('ECHO', `${index}`)));
      t.same(echoes, [...served.keys()].map(String), 'those that it has are served');
      const lines = proxy.logLines.filter(({ msg }) => msg === 'accept-paused');
      t.ok(lines.length <= 8, `${lines.length} lines in the log`);

      for (const client of served.slice(1)) client.close();
      await waitFor('a place for one more', async () => {
        const client = await RespClient.connect(deployment.port);
        clients.push(client);
        return (await client.command('PING').catch(() => null)) === 'PONG';
      });
      for (const client of clients) client.close();
    },
  );
}

/** So many clients, each of which sends PING: those that have the reply, and those that were told or disconnected. */
async function crowd(port: number, count: number) {
  const clients = await Promise.all(Array.from({ length: count }, () => RespClient.connect(port)));
  const served: RespClient[] = [];
  const refused: RespClient[] = [];
  for (const client of clients) {
    client.send('PING\r\n');
    void client.next(60_000).then(
      (reply) => (reply.toString() === '+PONG\r\n' ? served : refused).push(client),
      () => refused.push(client),
    );
  }
  return { clients, served, refused };
}

function ownDescriptorsMax(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
}
