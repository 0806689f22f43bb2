/** CLIENT PAUSE over the clients of several workers, of which one dies meanwhile. */
import t from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

/** How many clients INFO says are blocked. */
async function blocked(client: RespClient): Promise<number> {
  return Number(/^blocked_clients:(\d+)/m.exec(String(await client.command('INFO', 'clients')))?.[1]);
}

/** Clients of all workers: some of so many are each one's. */
async function crowd({ port }: Deployment): Promise<RespClient[]> {
  const clients = await Promise.all(Array.from({ length: 12 }, () => RespClient.connect(port)));
  for (const client of clients) await client.command('PING');
  return clients;
}

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, writes of the clients of all workers wait, also where one starts meanwhile`, async (t) => {
    const deployment = await deploy(t, { transport, nodes: 2, env: { RINGLEADER_TEST_HOOKS: '1' } });
    let admin = await RespClient.connect(deployment.port);
    const clients = await crowd(deployment);
    t.equal(await admin.command('CLIENT', 'PAUSE', '600000', 'WRITE'), 'OK');
    const writes = clients.map((client, index) => client.command('SET', `key:${index}`, 'x'));
    for (const write of writes) write.catch(() => {});
    const reader = await RespClient.connect(deployment.port);
    t.equal(await reader.command('GET', 'key:0'), null);
    await waitFor('all to be held', async () => (await blocked(reader)) === 12);
    t.equal(await reader.command('DBSIZE'), 0);

    deployment.proxy.signal('SIGUSR2');
    await deployment.proxy.waitForLog('worker-restarted');
    reader.close();
    admin.close();
    const more = await crowd(deployment);
    const held = more.map((client) => client.command('INCR', 'counter'));
    admin = await RespClient.connect(deployment.port);
    await waitFor('the new ones to be held', async () => (await blocked(admin)) >= 12);
    t.equal(await admin.command('GET', 'counter'), null);

    t.equal(await admin.command('CLIENT', 'UNPAUSE'), 'OK');
    const counted = await within('replies', Promise.all(held));
    t.same(
      [...counted].sort((a, b) => Number(a) - Number(b)),
      more.map((_, index) => index + 1),
    );
    // Those of the worker that died have lost their connection.
    const ends = await within('ends', Promise.allSettled(writes));
    const replies = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    t.ok(replies.every((reply) => reply === 'OK'));
    if (transport !== 'node')
      t.ok(replies.length > 0 && replies.length < 12, `${replies.length} of 12 had their reply`);
    await waitFor('nobody to be held', async () => (await blocked(admin)) === 0);
    t.equal(await admin.command('CLIENT', 'PAUSE', '100'), 'OK');
    t.equal(await admin.command('PING'), 'PONG', 'after the pause');
    for (const client of [...clients, ...more, admin]) client.close();
  });

  t.test(`on ${transport}, a held client with subscriptions gets messages, and stays held`, async (t) => {
    const deployment = await deploy(t, { transport, nodes: 1 });
    const [admin, client] = [await RespClient.connect(deployment.port), await RespClient.connect(deployment.port)];
    const node = await RespClient.connect(deployment.servers[0]?.port as number);
    await client.command('HELLO', '3');
    client.send('SUBSCRIBE news\r\n');
    t.match((await client.next()).toString(), 'subscribe');
    const [line = ''] = String(await admin.command('CLIENT', 'LIST', 'TYPE', 'pubsub')).split('\n');
    t.match(line, / flags=P db=0 sub=1 psub=0 ssub=0 .* cmd=subscribe .* resp=3$/);
    t.equal(await admin.command('CLIENT', 'PAUSE', '600000', 'WRITE'), 'OK');
    client.send('PUBLISH news own\r\n');
    await waitFor('it to be held', async () => (await blocked(admin)) === 1);
    for (const text of ['one', 'two']) {
      t.equal(await node.command('PUBLISH', 'news', text), 1);
      t.match((await client.next()).toString(), text);
    }
    t.equal(await blocked(admin), 1);
    t.equal(await admin.command('CLIENT', 'UNPAUSE'), 'OK');
    const last = (await client.next()).toString() + (await client.next()).toString();
    t.match(last, 'own');
    t.match(last, ':1\r\n');
    t.equal(await admin.command('CLIENT', 'KILL', 'TYPE', 'pubsub'), 1);
    await within('its end', client.closed);
    for (const each of [admin, node]) each.close();
  });

  t.test(`on ${transport}, a held client that goes is noticed`, async (t) => {
    const deployment = await deploy(t, { transport, nodes: 1 });
    const admin = await RespClient.connect(deployment.port);
    t.equal(await admin.command('CLIENT', 'PAUSE', '600000', 'WRITE'), 'OK');
    const clients = await crowd(deployment);
    for (const client of clients) client.send('SET key value\r\n');
    await waitFor('all to be held', async () => (await blocked(admin)) === 12);
    for (const [index, client] of clients.entries()) {
      if (index % 3 === 0) client.close();
      else if (index % 3 === 1) client.end();
      else client.reset();
    }
    await waitFor('all to have gone', async () => (await blocked(admin)) === 0);
    t.match(await admin.command('INFO', 'clients'), /connected_clients:1\r\n/);
    t.equal(await admin.command('CLIENT', 'UNPAUSE'), 'OK');
    t.equal(await admin.command('EXISTS', 'key'), 0);
    admin.close();
  });
}

t.test(
  'scripts and functions that say that they do not write are not held, whichever way they are called',
  async (t) => {
    const deployment = await deploy(t);
    const admin = await RespClient.connect(deployment.port);
    t.teardown(() => admin.close());
    const clients = await crowd(deployment);
    t.teardown(() => {
      for (const client of clients) client.close();
    });
    const register = (name: string, flags: string) =>
      `redis.register_function{function_name='${name}', callback=function() return '${name}' end, flags={${flags}}}`;
    await admin.command(
      'FUNCTION',
      'LOAD',
      `#!lua name=l\n${register('reads', "'no-writes'")}\n${register('writes', '')}`,
    );
    const reads = String(await admin.command('SCRIPT', 'LOAD', "#!lua flags=no-writes\nreturn 'reads'"));
    const writes = String(await admin.command('SCRIPT', 'LOAD', "return 'writes'"));
    for (const client of clients) t.equal(String(await client.command('EVALSHA', reads, '0')), 'reads');
    t.equal(await admin.command('CLIENT', 'PAUSE', '600000', 'WRITE'), 'OK');
    for (const client of clients) {
      t.equal(String(await client.command('FCALL', 'reads', '0')), 'reads');
      t.equal(String(await client.command('EVALSHA', reads, '0')), 'reads');
    }
    const held = clients.map((client, index) => {
      return index % 2 === 0 ? client.command('FCALL', 'writes', '0') : client.command('EVALSHA', writes, '0');
    });
    await waitFor('all to be held', async () => (await blocked(admin)) === clients.length);
    t.equal(await admin.command('CLIENT', 'UNPAUSE'), 'OK');
    for (const reply of await Promise.all(held)) t.equal(String(reply), 'writes');
  },
);
