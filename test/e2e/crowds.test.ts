/** More clients than usual, and more than there is room for. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { processorMs } from '../help/process-facts.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

for (const transport of ['epoll', 'node'] as const) {
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
}

t.test(
  'with no descriptor left it says so, does not spin, serves those it has, and takes others when some leave',
  async (t) => {
    const deployment = await deploy(t, { descriptorsMax: 128 });
    const { pid } = deployment.proxy;
    const { clients, served } = await crowd(deployment.port, 200);
    const line = await deployment.proxy.waitForLog('accept-paused');
    t.equal(line['code'], 'EMFILE');
    const settledAt = await settled(served);
    t.ok(settledAt > 30 && settledAt < 128, `${settledAt} clients are served`);

    const before = processorMs(pid);
    const startMs = performance.now();
    await sleep(1_000);
    const busy = (processorMs(pid) - before) / (performance.now() - startMs);
    t.ok(busy < 0.5, `the processor is busy for ${Math.round(busy * 100)} % of the time`);
    const lines = deployment.proxy.logLines.filter(({ msg }) => msg === 'accept-paused');
    t.ok(lines.length <= 8, `${lines.length} lines in the log`);

    await areServed(t, served.slice(0, 30));
    for (const client of served.slice(0, settledAt - 5)) client.close();
    await waitFor('the others to be served', () => served.length > settledAt + 30);
    for (const client of clients) client.close();
  },
);

t.test('on node, clients beyond the descriptors are closed at once, and the others served', async (t) => {
  // libuv accepts and closes such connections itself, and tells nobody: there is no line in the log.
  const deployment = await deploy(t, { transport: 'node', descriptorsMax: 128 });
  const { clients, served } = await crowd(deployment.port, 200);
  const settledAt = await settled(served);
  t.ok(settledAt > 30 && settledAt < 128, `${settledAt} clients are served`);
  const others = clients.filter((client) => !served.includes(client));
  await within('the end of the others', Promise.all(others.map(({ closed }) => closed)));
  await areServed(t, served.slice(0, 30));
  for (const client of served.slice(0, settledAt - 5)) client.close();
  await waitFor('a place for one more', async () => {
    const client = await RespClient.connect(deployment.port);
    clients.push(client);
    return (await client.command('PING')) === 'PONG';
  });
  for (const client of clients) client.close();
});

/** So many clients, each of which sends PING; `served` are those that have a reply. */
async function crowd(port: number, count: number): Promise<{ clients: RespClient[]; served: RespClient[] }> {
  const clients = await Promise.all(Array.from({ length: count }, () => RespClient.connect(port)));
  const served: RespClient[] = [];
  for (const client of clients) {
    client.send('PING\r\n');
    void client.next(120_000).then(
      () => served.push(client),
      () => {},
    );
  }
  return { clients, served };
}

/** How many are served, when there are no more of them for a while. */
function settled(served: readonly RespClient[]): Promise<number> {
  return waitFor('no more clients to be served', async () => {
    const before = served.length;
    await sleep(300);
    return before > 0 && served.length === before && before;
  });
}

async function areServed(t: Test, clients: readonly RespClient[]): Promise<void> {
  const echoes = await Promise.all(clients.map((client, index) => client.command('ECHO', `${index}`)));
  t.same(echoes, [...clients.keys()].map(String), 'those that it has are served');
}

function ownDescriptorsMax(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
}
